// Package pipeline drives runs: it takes a pushed commit through its stages to a release that serves, or to
// a sentence that says why not.
//
// One run per application moves at a time; one more may wait, and a newer one takes its place. A run is a
// record in the store with a lease-like owner mark, and its log is a file. Until its rollout begins a run
// may be cancelled and leaves nothing behind; from then on it ends in one of two ways only: the new release
// serves and the deploy branch names its commit, or everything is as it was.
//
// The order of the last steps is what makes a push true. All procs are wished for in one transaction and
// watched until they serve; then the routes move; then one transaction marks the release as the one that
// serves (the commit point); then the branch is moved to it. A process that dies anywhere on that way is
// replaced by its next start, which reads the records and finishes or undoes (see TakeOver).
//
// The pipeline wishes and waits; it never speaks to the engine or to nginx itself.
package pipeline
