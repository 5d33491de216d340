package lain

// RunRequest asks for a run: a push, or a verb that acts like one.
type RunRequest struct {
	App       AppName
	Commit    Commit
	Ref       string // refs/heads/main
	Old       Commit // what the pusher saw on the ref; zero for a new one
	By        Person
	Detach    bool    // answer at once, go on alone
	BuildOnly bool    // stop before the rollout
	Supersede bool    // stop the run that builds now, not only the one that waits
	Change    *Change // not a push: Commit, Ref and Old are those of the release it is made of
	Format    string  // object format of the repository, for an application that is made by this request

	SkipOneshot bool // leave the oneshot procs out
}
