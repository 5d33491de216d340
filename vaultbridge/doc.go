// Package vaultbridge keeps the secret files and config values of applications in Vault, and hands them to the
// engine when a release needs them.
//
// The vault is the only place where values stay. A secret file is one KV v2 entry for each application, scope
// (one proc, or every proc) and path; the config values of an application are one entry together, so that one
// version number says all of them. Versions are the vault's own: a release pins them, "staged" means written
// but not pinned by a release yet. Every write checks that nobody wrote in between.
//
// Two identities: the management login writes, and names policies and roles; what is delivered to an
// application is read through a role of that application, whose policy reaches its own subtree only. So a
// mistake in our naming hands nobody another's values.
//
// Delivered means: an engine secret for each version, named after what it holds and when that was written,
// made once and reused. From there the engine puts it into the container's memory; nothing of it is in the
// store, in the service, in the image, or in an argument.
//
// Errors for people are faults; errors.Is tells the class (ErrSealed, ErrGone, ...). No error, log line or
// label holds a value. Who may do what is not decided here.
//
// Bridge speaks to HashiCorp Vault from 1.12 on, and to OpenBao.
package vaultbridge
