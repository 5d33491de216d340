// Package verbs is what a client has to know of the verbs that the server takes: which of them name an application
// first, so that the client can fill it in, and how words are written for the server's parser.
//
// It knows nothing else of them, and a verb that is not here is passed on as it is. A test of package api compares
// the table with the verbs there are.
package verbs
