package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
)

// The longest a run waits for things that do not depend on the application. A rollout has deadlines of its
// own; this is for a rollout that can't even try, because the engine is away.
const (
	rolloutSlack  = 5 * time.Minute
	routerTimeout = 30 * time.Second
)

// roll makes a recorded release serve, or takes everything back. It can't be cancelled; only a process that
// gives up ends it early, and its next start goes on.
func (e *execution) roll(r lain.Release) error {
	ctx := e.p.base
	err := e.rollForward(ctx, r)
	if err == nil {
		return e.finish(ctx, r)
	}
	if errors.Is(err, errLost) || ctx.Err() != nil {
		return err
	}
	if backErr := e.takeBack(ctx, r, fault.Of(err).Error()); backErr != nil {
		e.p.o.Logger.Error("return to the last good release", "app", r.App, "release", r.Number, "error", backErr)
		e.say(report.Warning, "the return to the former release is not complete yet; it goes on in the background")
	}
	return err
}

func (e *execution) rollForward(ctx context.Context, r lain.Release) error {
	wants := plan.Wants(r, plan.Attempt(r.Run))
	title := fmt.Sprintf("Rolling out %s", r.Version())
	if err := e.stage(ctx, plan.Rollout, title, func(ctx context.Context) error {
		if !e.detached() {
			e.say(report.Detail, "From here on Ctrl-C only detaches; the rollout goes on.")
		}
		if err := e.wish(ctx, wants); err != nil {
			return err
		}
		return e.await(ctx, wants)
	}); err != nil {
		return err
	}
	if err := e.stage(ctx, plan.Routes, "Routing", func(ctx context.Context) error { return e.route(ctx, r) }); err != nil {
		return err
	}
	return e.commit(ctx, r)
}

// wish writes all wants in one transaction.
func (e *execution) wish(ctx context.Context, wants []lain.ProcWant) error {
	tx := e.p.o.Store.Begin("wants")
	for _, w := range wants {
		e.p.kinds.wants.PutIn(tx, lain.ProcKey(w.App, w.Spec.Name), w)
	}
	_, err := tx.Commit(ctx)
	return err
}

// await watches the rollout until every want serves, or one is given up.
func (e *execution) await(ctx context.Context, wants []lain.ProcWant) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience(wants), fault.New(fault.Unavailable,
		"the rollout did not begin or end in time; the engine may be away"))
	defer cancel()
	told := ""
	for range e.p.o.Store.Signal(ctx, lain.SeenPrefix+string(e.asked.App)+"/") {
		seen, err := e.p.seenOf(ctx, e.asked.App)
		if err != nil {
			return causeOf(ctx, err)
		}
		if now := plan.Missing(wants, seen); now != told {
			told = now
			e.say(report.Detail, "healthy: %s", now)
		}
		all, failed := plan.Verdict(wants, seen)
		if all {
			return nil
		}
		if len(failed) > 0 {
			return e.given(failed)
		}
	}
	return cmp.Or(context.Cause(ctx), errLost)
}

// patience is the longest a rollout of these may take, all deadlines included.
func patience(wants []lain.ProcWant) time.Duration {
	longest := time.Minute
	for _, w := range wants {
		longest = max(longest, w.Spec.SetupTime+w.Spec.Deadline+w.Spec.KillTimeout)
	}
	return longest + rolloutSlack
}

func (p *Pipeline) seenOf(ctx context.Context, app lain.AppName) (map[lain.ProcName]lain.ProcSeen, error) {
	items, _, err := p.kinds.seen.List(ctx, string(app)+"/")
	if err != nil {
		return nil, err
	}
	seen := map[lain.ProcName]lain.ProcSeen{}
	for _, i := range items {
		if _, _, oneshot, _ := lain.SplitProcKey(i.Key); !oneshot { // it may have the name of a proc that serves
			seen[i.Value.Proc] = i.Value
		}
	}
	return seen, nil
}

// given reports the evidence of what failed, keeps it with the run, and makes the error.
func (e *execution) given(failed []lain.ProcSeen) error {
	var failures []lain.Failure
	for _, s := range failed {
		f := lain.Failure{Proc: s.Proc, Sentence: s.Reason}
		if s.Failure != nil {
			f = *s.Failure
		}
		failures = append(failures, f)
		e.show(f)
	}
	if err := e.update(e.p.base, func(r *lain.Run) { r.Failures = failures }); err != nil {
		return err
	}
	return fault.New(fault.Failed, "%s", failures[0].Sentence).WithHint("%s", failures[0].Hint)
}

// show prints what is known of a failed instance: its last words, how it ended, the last probe.
func (e *execution) show(f lain.Failure) {
	name := string(f.Proc)
	if f.Instance > 0 {
		name = fmt.Sprintf("%s.%d", f.Proc, f.Instance)
	}
	if len(f.LogTail) > 0 {
		e.say(report.Detail, "the last lines of %s:", name)
		for _, line := range f.LogTail {
			e.Report(report.Event{Kind: report.Output, Text: "  " + line})
		}
	}
	var facts []string
	if f.ExitCode != nil {
		facts = append(facts, fmt.Sprintf("exit code %d", *f.ExitCode))
	}
	if f.Signal != "" {
		facts = append(facts, "signal "+f.Signal)
	}
	if f.OOM {
		facts = append(facts, fmt.Sprintf("out of memory at %d MiB", f.Memory>>20))
	}
	if len(facts) > 0 {
		e.say(report.Detail, "%s ended: %s", name, strings.Join(facts, ", "))
	}
	if f.LastProbe != "" {
		e.say(report.Detail, "the last probe of %s: %s", name, f.LastProbe)
	}
}

// route hands the release's routes to the router and waits until they are live.
func (e *execution) route(ctx context.Context, r lain.Release) error {
	revision, err := e.p.kinds.routes.Put(ctx, string(r.App), lain.AppRoutes{App: r.App, Release: r.Number, Routes: r.Routes})
	if err != nil {
		return err
	}
	if err := e.p.awaitRouters(ctx, r.App, revision); err != nil {
		return err
	}
	for _, route := range r.Routes {
		e.say(report.Detail, "%s -> %s", e.p.o.URL(route), route.Proc)
	}
	return nil
}

// awaitRouters waits until every router has applied the store's revision.
func (p *Pipeline) awaitRouters(ctx context.Context, app lain.AppName, revision int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, routerTimeout, fault.New(fault.Unavailable,
		"the router did not take the new routes within %s", routerTimeout).WithHint("See its state with: info %s", app))
	defer cancel()
	for range p.o.Store.Signal(ctx, lain.NodesPrefix) {
		items, _, err := p.kinds.routers.List(ctx, "")
		if err != nil {
			return causeOf(ctx, err)
		}
		behind := len(items) == 0
		for _, i := range items {
			if !strings.HasSuffix(i.Key, "/router") {
				continue
			}
			if i.Value.Revision < revision {
				behind = true
			} else if why, ok := i.Value.Refused[string(app)]; ok {
				return fault.New(fault.Invalid, "the router refused the routes: %s", why)
			}
		}
		if !behind {
			return nil
		}
	}
	return cmp.Or(context.Cause(ctx), errLost)
}

// commit is the point from which on the release serves: one transaction marks it, marks the former one as
// replaced, and lets go of procs and hosts that are not its own.
func (e *execution) commit(ctx context.Context, r lain.Release) error {
	for {
		err := e.tryCommit(ctx, r)
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

func (e *execution) tryCommit(ctx context.Context, r lain.Release) error {
	app, err := e.p.kinds.apps.Get(ctx, string(r.App))
	if err != nil {
		return err
	}
	tx := e.p.o.Store.Begin("serves")
	e.p.kinds.apps.UnchangedIn(tx, string(r.App), app.Revision)
	if former := app.Value.Serving; former != 0 && former != r.Number {
		commit, err := e.endRelease(ctx, tx, r.App, former, lain.ReleaseReplaced, "")
		if err != nil {
			return err
		}
		e.mu.Lock()
		e.run.Former = commit // stored with the next write of the run
		e.mu.Unlock()
	}
	app.Value.Serving = r.Number
	app.Value.DeployBranch = r.Branch
	e.p.kinds.apps.PutIn(tx, string(r.App), app.Value)
	if err := e.served(ctx, tx, r); err != nil {
		return err
	}
	if err := e.p.letGo(ctx, tx, r); err != nil {
		return err
	}
	if err := e.p.forgetOneshots(ctx, tx, r); err != nil {
		return err
	}
	_, err = tx.Commit(ctx)
	return err
}

// served writes into tx that a release serves, and keeps a ban that came meanwhile.
func (e *execution) served(ctx context.Context, tx *state.Tx, r lain.Release) error {
	key := lain.NumberKey(r.App, r.Number)
	item, err := e.p.kinds.releases.Get(ctx, key)
	if err != nil {
		return err
	}
	r.Status, r.Ban = lain.ReleaseServing, item.Value.Ban
	e.p.kinds.releases.UnchangedIn(tx, key, item.Revision)
	e.p.kinds.releases.PutIn(tx, key, r)
	return nil
}

// endRelease writes the last state of a release into tx and returns its commit. Who banned it meanwhile is not
// overwritten: the transaction is in conflict then.
func (e *execution) endRelease(ctx context.Context, tx *state.Tx, app lain.AppName, number int, s lain.ReleaseStatus, reason string) (lain.Commit, error) {
	key := lain.NumberKey(app, number)
	item, err := e.p.kinds.releases.Get(ctx, key)
	if err != nil {
		return "", err
	}
	item.Value.Status, item.Value.Reason, item.Value.Ended = s, reason, e.p.o.Now().UTC()
	e.p.kinds.releases.UnchangedIn(tx, key, item.Revision)
	e.p.kinds.releases.PutIn(tx, key, item.Value)
	return item.Value.Commit, nil
}

// letGo drops wants and host claims of the application that are not the release's.
func (p *Pipeline) letGo(ctx context.Context, tx *state.Tx, r lain.Release) error {
	wanted, _, err := p.kinds.wants.List(ctx, string(r.App)+"/")
	if err != nil {
		return err
	}
	var wants []lain.ProcWant
	for _, w := range wanted {
		wants = append(wants, w.Value)
	}
	for _, key := range plan.Removed(wants, r) {
		p.kinds.wants.DeleteIn(tx, key)
	}
	claims, _, err := p.kinds.hosts.List(ctx, "")
	if err != nil {
		return err
	}
	mine := plan.Hosts(r.Routes)
	for _, c := range claims {
		if c.Value.App == r.App && !slices.Contains(mine, c.Value.Host) {
			p.kinds.hosts.DeleteIn(tx, c.Key)
		}
	}
	return nil
}

// finish is what follows the commit point; it may be repeated. The release serves whatever happens here, so
// only the end of the process is an error: a branch that can't be moved now is moved by the next start.
func (e *execution) finish(ctx context.Context, r lain.Release) error {
	err := e.stage(ctx, plan.Ref, "Moving "+r.Branch, func(ctx context.Context) error { return e.p.moveRef(ctx, r) })
	if errors.Is(err, errLost) {
		return err
	}
	if err != nil {
		e.notMoved(r, err)
	}
	for _, route := range slices.SortedFunc(slices.Values(r.Routes), func(a, b lain.Route) int {
		return strings.Compare(a.Host+a.Path, b.Host+b.Path)
	}) {
		e.say(report.Result, "%s", e.p.o.URL(route))
	}
	e.say(report.Result, "%s serves %s, %s after the %s", r.Version(), r.Commit.Short(), e.took(), r.Why)
	return nil
}

// notMoved tells that the references of what serves are not what they should be; the next start mends it.
func (e *execution) notMoved(r lain.Release, err error) {
	e.p.o.Logger.Error("the deploy branch could not be moved to what serves", "app", r.App, "release", r.Number, "error", err)
	e.say(report.Warning, "%s serves, but %s could not be moved to it; that is tried again at the next start", r.Version(), r.Branch)
}

// lastGood is the release that serves; a zero release (with the name set) where none does.
func (p *Pipeline) lastGood(ctx context.Context, app lain.AppName) (lain.Release, error) {
	item, err := p.kinds.apps.Get(ctx, string(app))
	if err != nil {
		return lain.Release{}, err
	}
	if item.Value.Serving == 0 {
		return lain.Release{App: app}, nil
	}
	release, err := p.kinds.releases.Get(ctx, lain.NumberKey(app, item.Value.Serving))
	return release.Value, err
}

// moveRef makes the deploy branch name the release's commit, and files the commit under refs/releases. It
// may be repeated.
func (p *Pipeline) moveRef(ctx context.Context, r lain.Release) error {
	repository, err := p.o.Repos.Open(ctx, r.App)
	if err != nil {
		return err
	}
	for _, ref := range []string{"refs/releases/" + r.Version(), "refs/heads/" + r.Branch} {
		if err := pointTo(ctx, repository, ref, r.Commit); err != nil {
			return fmt.Errorf("move %s of %s: %w", ref, r.App, err)
		}
	}
	return repository.SetHead(ctx, "refs/heads/"+r.Branch)
}

// pointTo makes ref name commit, whatever it named before.
func pointTo(ctx context.Context, r *repo.Repository, ref string, commit lain.Commit) error {
	refs, err := r.Refs(ctx, ref)
	if err != nil {
		return err
	}
	var now lain.Commit
	for _, found := range refs {
		if found.Name == ref {
			now = found.ID
		}
	}
	if now == commit {
		return nil
	}
	return r.UpdateRef(ctx, ref, commit, now)
}
