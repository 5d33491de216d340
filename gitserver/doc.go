// Package gitserver is the SSH front door: it finds out who is there, runs git's two services in that
// person's name, and hands every other command to the verbs.
//
// A person is the key that signed, never one that was merely offered, and is looked up again for each
// session, so that a removed key is out at once. Whoever has not proved a key yet has one deadline, and
// shares a limited number of places in which the oldest gives way, so that connections which are only
// held open keep nobody out. Forwarding, agents, subsystems and environment (but git's protocol version)
// do not exist here.
//
// A push runs the real git receive-pack (gitserver/repo); its proc-receive hook comes back through
// gitserver/hook and is answered by Repositories.Receive. A session's context ends when its client is
// gone; git is then ended gently, and Receive is told and decides for itself whether to go on.
//
// The package knows neither rights nor records, nor what a push means: that is behind Authenticator,
// Repositories and Verbs.
package gitserver
