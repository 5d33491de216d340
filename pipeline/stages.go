package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"lain.internal/lain/builder"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/changes"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
)

func branchOf(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

// all takes the run through its stages. Up to the rollout it works under the run's own context, behind it
// under the pipeline's.
func (e *execution) all() error {
	if e.inherited != nil {
		return e.inherited(e.p.base)
	}
	if e.ctx.Err() != nil {
		return context.Cause(e.ctx)
	}
	release, err := e.prepared()
	if err != nil || e.asked.BuildOnly {
		return err
	}
	if release, err = e.pin(release); err != nil {
		return err
	}
	if release, err = e.record(release); err != nil {
		return err
	}
	return e.proceed(release)
}

// proceed takes a recorded release through its oneshot procs and its rollout. Up to the rollout it can be
// cancelled; the release is marked as failed then.
func (e *execution) proceed(r lain.Release) error {
	err := e.oneshots(r)
	if err == nil {
		err = e.beginRolling()
	}
	if errors.Is(err, errLost) {
		return err // the next start goes on from the records
	}
	if err != nil {
		return errors.Join(err, e.abandon(r, err))
	}
	return e.roll(r)
}

// prepared is the release that the run is for, not yet recorded: of what was pushed, or of an earlier one.
func (e *execution) prepared() (lain.Release, error) {
	if e.asked.Change != nil {
		return e.changed(*e.asked.Change)
	}
	repository, err := e.p.o.Repos.Open(e.ctx, e.asked.App)
	if err != nil {
		return lain.Release{}, err
	}
	src, err := e.read(repository)
	if err != nil {
		return lain.Release{}, err
	}
	built, err := e.image(repository, src)
	if err != nil {
		return lain.Release{}, err
	}
	if e.asked.BuildOnly {
		e.say(report.Result, "%s is built: %s", e.asked.Commit.Short(), built.Image)
		e.say(report.Detail, "Push without -o build-only to release it; nothing will be built again.")
		return lain.Release{}, nil
	}
	return e.pushed(src, built)
}

// source is what the read stage found.
type source struct {
	commit   repo.CommitInfo
	manifest *manifest.Manifest
	forced   bool
}

// request is what the builder is asked of it.
func (s source) request(r *repo.Repository, run int, secrets []builder.Secret) builder.Request {
	return builder.Request{
		App: r.App(), Run: run, Commit: s.commit.ID, CommitTime: s.commit.CommitterTime,
		Tree: s.commit.Tree, Manifest: s.manifest, Secrets: secrets,
		Context: func(ctx context.Context) (io.ReadCloser, error) { return r.Archive(ctx, s.commit.ID) },
	}
}

func (e *execution) read(r *repo.Repository) (source, error) {
	var src source
	err := e.stage(e.ctx, plan.Read, fmt.Sprintf("%s: %s of %s", e.asked.ID(), e.asked.Commit.Short(), e.asked.App), func(ctx context.Context) error {
		var err error
		if src.forced, err = e.p.contained(ctx, r, e.asked, e.req.Old); err != nil {
			return err
		}
		if src.commit, err = r.Commit(ctx, string(e.asked.Commit)); err != nil {
			return err
		}
		m, findings, err := readManifest(ctx, r, e.asked.App, e.asked.Commit)
		if err != nil {
			return err
		}
		src.manifest = m
		for _, f := range findings {
			e.say(report.Warning, "%s:%d: %s", f.File, f.Line, f.Sentence)
			if f.Hint != "" {
				e.say(report.Detail, "%s", f.Hint)
			}
		}
		return nil
	})
	return src, err
}

// image gives the image of the commit: the one that was built from the same input before, or a new one.
func (e *execution) image(r *repo.Repository, src source) (lain.Build, error) {
	if err := e.p.o.Room(); err != nil {
		return lain.Build{}, err
	}
	secrets, err := e.buildSecrets(src.manifest)
	if err != nil {
		return lain.Build{}, err
	}
	job, err := e.p.o.Builder.Open(e.ctx, src.request(r, e.asked.Number, secrets), e)
	if err != nil {
		if e.ctx.Err() != nil {
			return lain.Build{}, context.Cause(e.ctx)
		}
		return lain.Build{}, e.p.shortage(err)
	}
	defer job.Close()
	former, err := e.former(job.Key())
	if err != nil {
		return lain.Build{}, err
	}
	if former != nil {
		e.say(report.Stage, "Already built by r-%d from the same files: nothing to build", former.BuiltBy)
	}
	return e.build(job, src, former)
}

// former finds an earlier build of the same input whose image is still in the registry.
func (e *execution) former(key string) (*lain.Build, error) {
	item, err := e.p.kinds.builds.Get(e.ctx, string(e.asked.App)+"/"+key)
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have, err := e.p.o.Builder.Has(e.ctx, item.Value.Image)
	if err != nil || !have {
		return nil, err
	}
	return &item.Value, nil
}

func (e *execution) build(job Job, src source, former *lain.Build) (lain.Build, error) {
	facts := plan.Facts{HasPrepare: src.manifest.Build.Prepare != nil, HasTest: src.manifest.Test != nil, Built: former, BuildOnly: e.asked.BuildOnly,
		HasOneshot: hasOneshot(src.manifest), SkipOneshot: e.asked.SkipOneshot}
	if facts.HasPrepare && former == nil {
		needs, err := job.NeedsPrepare(e.ctx)
		if err != nil {
			return lain.Build{}, err
		}
		facts.PrepareReady = !needs
	}
	var image lain.ImageRef
	steps := map[string]struct {
		title string
		run   func(context.Context) error
	}{
		plan.Prepare: {"Preparing", job.Prepare},
		plan.Build:   {"Building", job.Build},
		plan.Test:    {"Testing", job.Test},
		plan.Release: {"Making the release image", job.Release},
		plan.Push: {"Storing the image", func(ctx context.Context) (err error) {
			image, err = job.Push(ctx)
			return err
		}},
	}
	for _, s := range plan.Stages(facts) {
		step, ours := steps[s.Name]
		if s.Skip != "" {
			e.skip(s)
			continue
		}
		if !ours {
			continue
		}
		if err := e.stage(e.ctx, s.Name, step.title, step.run); err != nil {
			return lain.Build{}, err
		}
	}
	if former != nil {
		return *former, nil
	}
	b := lain.Build{App: e.asked.App, Key: job.Key(), Commit: e.asked.Commit, Tree: src.commit.Tree, Image: image,
		Prepare: job.PrepareName(), Bases: job.Bases(), Tested: true, BuiltBy: e.asked.Number, Created: e.p.o.Now().UTC()}
	_, err := e.p.kinds.builds.Put(e.ctx, string(b.App)+"/"+b.Key, b)
	return b, err
}

func hasOneshot(m *manifest.Manifest) bool {
	return slices.ContainsFunc(m.Procs, func(p manifest.Proc) bool { return p.Type == lain.Oneshot })
}

// pushed is the release of what was pushed, in the sizes that people gave the one that serves.
func (e *execution) pushed(src source, built lain.Build) (lain.Release, error) {
	procs, err := plan.Procs(src.manifest, built.Image, e.p.o.Cluster, func(name string) (lain.ImageRef, error) {
		return e.p.o.Builder.Foreign(e.ctx, name)
	})
	if err != nil {
		return lain.Release{}, err
	}
	routes, err := src.manifest.Routes(e.p.o.Cluster.Domains)
	if err != nil {
		return lain.Release{}, err
	}
	serving, err := e.p.lastGood(e.ctx, e.asked.App)
	if err != nil {
		return lain.Release{}, err
	}
	r := lain.Release{
		App: e.asked.App, Commit: e.asked.Commit, Tree: src.commit.Tree, Image: built.Image, Procs: procs, Routes: routes,
		Why: lain.WhyPush, Forced: src.forced, Branch: branchOf(e.asked.Ref), Status: lain.ReleasePending,
	}
	r = plan.Sized(r, serving.Sizes)
	return r, e.p.fits(e.ctx, r)
}

// record stores the release under the next number, and claims its hosts.
func (e *execution) record(r lain.Release) (lain.Release, error) {
	r.Run, r.By, r.Created, r.Ended = e.asked.Number, e.asked.By, e.p.o.Now().UTC(), time.Time{}
	for _, line := range changes.Scaled(r) {
		e.say(report.Detail, "%s", line)
	}
	for {
		stored, err := e.tryRecord(r)
		if !errors.Is(err, state.ErrConflict) {
			return stored, err
		}
	}
}

func (e *execution) tryRecord(r lain.Release) (lain.Release, error) {
	ctx := e.ctx
	app, err := e.p.kinds.apps.Get(ctx, string(r.App))
	if err != nil {
		return r, err
	}
	serving, err := e.p.lastGood(ctx, r.App)
	if err != nil {
		return r, err
	}
	tx := e.p.o.Store.Begin("release")
	e.p.kinds.apps.UnchangedIn(tx, string(r.App), app.Revision)
	app.Value.LastRelease++
	r.Number = app.Value.LastRelease
	plan.Settle(&r, serving, plan.Renews(e.asked.Change))
	e.p.kinds.apps.PutIn(tx, string(r.App), app.Value)
	e.p.kinds.releases.CreateIn(tx, lain.NumberKey(r.App, r.Number), r)
	if err := e.claim(ctx, tx, r); err != nil {
		return r, err
	}
	e.mu.Lock()
	run := e.run
	run.Release, run.Forced, run.Commit = r.Number, r.Forced, r.Commit
	e.mu.Unlock()
	e.p.kinds.runs.PutIn(tx, lain.NumberKey(run.App, run.Number), run)
	if _, err := tx.Commit(ctx); err != nil {
		return r, err
	}
	e.mu.Lock()
	e.run.Release, e.run.Forced, e.run.Commit = r.Number, r.Forced, r.Commit
	e.mu.Unlock()
	return r, nil
}

// abandon marks a release that was recorded but never begun; hosts that it claimed go back.
func (e *execution) abandon(r lain.Release, why error) error {
	ctx, cancel := e.lastWords()
	defer cancel()
	for {
		err := e.tryAbandon(ctx, r, why)
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

func (e *execution) tryAbandon(ctx context.Context, r lain.Release, why error) error {
	good, err := e.p.lastGood(ctx, r.App)
	if err != nil {
		return err
	}
	tx := e.p.o.Store.Begin("abandon")
	if _, err := e.endRelease(ctx, tx, r.App, r.Number, lain.ReleaseFailed, fault.Of(why).Error()); err != nil {
		return err
	}
	if err := e.p.letGo(ctx, tx, good); err != nil {
		return err
	}
	_, err = tx.Commit(ctx)
	return err
}

// claim takes the release's hosts for the application, or refuses when another one has them.
func (e *execution) claim(ctx context.Context, tx *state.Tx, r lain.Release) error {
	for _, host := range plan.Hosts(r.Routes) {
		item, err := e.p.kinds.hosts.Get(ctx, host)
		switch {
		case errors.Is(err, state.ErrNotFound):
			e.p.kinds.hosts.CreateIn(tx, host, lain.HostClaim{Host: host, App: r.App})
		case err != nil:
			return err
		case item.Value.App != r.App:
			return hostTaken(host)
		}
	}
	return nil
}

// took is the time the run has taken so far, for people.
func (e *execution) took() time.Duration {
	return e.p.o.Now().Sub(e.asked.Created).Round(100 * time.Millisecond)
}
