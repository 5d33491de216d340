package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"lain.internal/lain/access"
	"lain.internal/lain/gitserver"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// maxReason bounds the text in git's status line, in bytes.
const maxReason = 400

// Runs is the pipeline, as far as a push needs it.
type Runs interface {
	Submit(context.Context, lain.RunRequest) (lain.Run, error)
	Follow(context.Context, lain.AppName, int, func([]report.Event) error) error
	Wait(context.Context, lain.AppName, int) (lain.Run, error)
	Cancel(ctx context.Context, app lain.AppName, number int, why string) error
}

// Apps looks an application up; ok is false where there is none.
type Apps interface {
	App(context.Context, lain.AppName) (app lain.App, ok bool, err error)
}

// Receiver answers pushes. It implements gitserver.Repositories.
type Receiver struct {
	Runs   Runs
	Apps   Apps
	Repos  *repo.Store
	Rights interface {
		Can(context.Context, lain.Person, access.Action, lain.AppName) error
	}
	Room   func() error // why no push can be taken now, a fault; nil: there is always room
	Logger *slog.Logger

	mu   sync.Mutex
	open map[lain.AppName]int // pushes under way
}

// OpenRead gives the repository for a clone or fetch.
func (r *Receiver) OpenRead(ctx context.Context, s gitserver.Session, app lain.AppName) (*repo.Repository, error) {
	if err := r.Rights.Can(ctx, s.Person, access.Read, app); err != nil {
		return nil, err
	}
	repository, err := r.Repos.Open(ctx, app)
	if errors.Is(err, repo.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "there is no application %s here", app).
			WithHint("The first push makes it: git push lain main")
	}
	return repository, err
}

// OpenPush gives the repository for a push and makes it when the application is new.
func (r *Receiver) OpenPush(ctx context.Context, s gitserver.Session, app lain.AppName) (*repo.Repository, error) {
	if err := r.Rights.Can(ctx, s.Person, access.Push, app); err != nil {
		return nil, err
	}
	if r.Room != nil {
		if err := r.Room(); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	repository, err := r.Repos.Open(ctx, app)
	if errors.Is(err, repo.ErrNotFound) {
		repository, err = r.Repos.Create(ctx, app, "sha1")
	}
	if err != nil {
		return nil, err
	}
	if r.open == nil {
		r.open = map[lain.AppName]int{}
	}
	r.open[app]++
	return repository, nil
}

// ClosePush removes the repository again when the push left no application behind.
func (r *Receiver) ClosePush(_ gitserver.Session, app lain.AppName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[app]--
	if r.open[app] > 0 {
		return
	}
	delete(r.open, app)
	ctx := context.Background()
	if _, ok, err := r.Apps.App(ctx, app); ok || err != nil {
		return
	}
	if err := r.Repos.Remove(ctx, app); err != nil {
		r.Logger.Error("the repository of a refused first push is left", "app", app, "error", err)
	}
}

// Receive answers every command of a push: the deploy branch behind the others, but before the tags of a first
// push, which have no application yet.
func (r *Receiver) Receive(ctx context.Context, push gitserver.Push) []gitserver.Answer {
	out := report.Func(func(e report.Event) { io.WriteString(push.Progress, report.Draw(e)) })
	options, err := parseOptions(push.Options)
	if err != nil {
		return refuseAll(push.Commands, out, fault.New(fault.Invalid, "%w", err))
	}
	app, exists, err := r.Apps.App(ctx, push.App)
	if err != nil {
		r.Logger.Error("read the application of a push", "app", push.App, "error", err)
		return refuseAll(push.Commands, out, fault.Of(err))
	}
	app.Name = push.App
	var answers []gitserver.Answer
	var last, tags []sorted
	for _, c := range sort(app, exists, push.Atomic, push.Commands) {
		switch {
		case c.Verdict == deploy:
			last = append(last, c)
		case c.Verdict == keep && !exists:
			tags = append(tags, c)
		case c.Verdict == keep:
			answers = append(answers, r.keep(ctx, push, c))
		default:
			answers = append(answers, refusal(c.Ref, c.Reason))
			if c.Hint != "" {
				out.Report(report.Event{Kind: report.Detail, Text: c.Hint})
			}
		}
	}
	for _, c := range last {
		answers = append(answers, r.deploy(ctx, push, c, options, out))
	}
	for _, c := range tags {
		answers = append(answers, r.keepLate(ctx, push, c))
	}
	return answers
}

func refuseAll(commands []gitserver.Command, out report.Reporter, f *fault.Fault) []gitserver.Answer {
	tell(out, f)
	var answers []gitserver.Answer
	for _, c := range commands {
		answers = append(answers, refusal(c.Ref, f.Error()))
	}
	return answers
}

func refusal(ref, reason string) gitserver.Answer {
	return gitserver.Answer{Ref: ref, Reason: report.Line(reason, maxReason)}
}

// tell draws a fault on the pusher's terminal.
func tell(out report.Reporter, f *fault.Fault) {
	for i, line := range fault.Lines(f) {
		kind := report.Detail
		if i == 0 {
			kind = report.Trouble
		}
		out.Report(report.Event{Kind: kind, Text: line})
	}
}

// keep moves a tag.
func (r *Receiver) keep(ctx context.Context, push gitserver.Push, c sorted) gitserver.Answer {
	var err error
	if c.New.IsZero() {
		err = push.Repo.DeleteRef(ctx, c.Ref, c.Old)
	} else {
		err = push.Repo.UpdateRef(ctx, c.Ref, c.New, c.Old)
	}
	if err != nil {
		r.Logger.Warn("a tag was not moved", "app", push.App, "ref", c.Ref, "error", err)
		return refusal(c.Ref, "the tag has changed meanwhile; fetch and push again")
	}
	return gitserver.Answer{Ref: c.Ref}
}

// keepLate moves a tag that came with a first push, if that made an application.
func (r *Receiver) keepLate(ctx context.Context, push gitserver.Push, c sorted) gitserver.Answer {
	_, exists, err := r.Apps.App(ctx, push.App)
	if err != nil || !exists {
		return refusal(c.Ref, "the tag was not taken, since no application was made")
	}
	return r.keep(ctx, push, c)
}

// deploy turns a command into a run and waits for its outcome.
func (r *Receiver) deploy(ctx context.Context, push gitserver.Push, c sorted, o Options, out report.Reporter) gitserver.Answer {
	run, err := r.submit(ctx, push, c, o)
	if err != nil {
		f := fault.Of(err)
		if f.Kind == fault.Internal {
			r.Logger.Error("submit a run", "app", push.App, "error", err)
		}
		tell(out, f)
		return refusal(c.Ref, f.Error())
	}
	runRef := "refs/lain/runs/" + run.ID()
	if o.Detach {
		out.Report(report.Event{Kind: report.Stage, Text: run.ID() + " goes on without you"})
		out.Report(report.Event{Kind: report.Detail, Text: fmt.Sprintf("Follow it with: runs attach %s %s", push.App, run.ID())})
		return gitserver.Answer{Ref: c.Ref, NewRef: runRef, New: c.New}
	}
	ended, err := r.follow(ctx, push, run)
	if err != nil || ended.Ended.IsZero() { // one of us goes; the next start of the server ends the run
		return refusal(c.Ref, fmt.Sprintf("the outcome of %s is not known; see runs attach %s %s", run.ID(), push.App, run.ID()))
	}
	return answer(c, ended, runRef)
}

func (r *Receiver) submit(ctx context.Context, push gitserver.Push, c sorted, o Options) (lain.Run, error) {
	info, err := push.Repo.Commit(ctx, string(c.New))
	if err != nil {
		return lain.Run{}, err
	}
	if info.Type != "commit" {
		return lain.Run{}, fault.New(fault.Invalid, "a %s can't be deployed, only a commit", info.Type).
			WithHint("For a tag: git push lain TAG^{commit}:%s", strings.TrimPrefix(c.Ref, "refs/heads/"))
	}
	return r.Runs.Submit(ctx, lain.RunRequest{
		App: push.App, Commit: c.New, Ref: c.Ref, Old: c.Old, By: push.Session.Person,
		Detach: o.Detach, BuildOnly: o.BuildOnly, Supersede: o.Supersede, SkipOneshot: o.SkipOneshot, Format: formatOf(c.New),
	})
}

// formatOf tells git's object format by the length of a name.
func formatOf(c lain.Commit) string {
	if len(c) == 64 {
		return "sha256"
	}
	return "sha1"
}

// follow shows the run until it has ended. When the pusher goes away, the run is cancelled while that is
// possible, and goes on otherwise.
func (r *Receiver) follow(ctx context.Context, push gitserver.Push, run lain.Run) (lain.Run, error) {
	err := r.Runs.Follow(ctx, push.App, run.Number, func(events []report.Event) error {
		var b strings.Builder
		for _, e := range events {
			b.WriteString(report.Draw(e))
		}
		_, err := io.WriteString(push.Progress, b.String())
		return err
	})
	if err != nil {
		why := "the pusher went away"
		if cancelErr := r.Runs.Cancel(context.WithoutCancel(ctx), push.App, run.Number, why); cancelErr != nil {
			r.Logger.Info("a run goes on without its pusher", "app", push.App, "run", run.ID(), "why", cancelErr)
		}
		return run, err
	}
	return r.Runs.Wait(ctx, push.App, run.Number)
}

// answer is the outcome of a run in git's words.
func answer(c sorted, run lain.Run, runRef string) gitserver.Answer {
	switch {
	case run.State == lain.RunDone && run.BuildOnly:
		return gitserver.Answer{Ref: c.Ref, NewRef: runRef, New: c.New}
	case run.State == lain.RunDone:
		return gitserver.Answer{Ref: c.Ref, Old: run.Former, New: c.New, Forced: run.Forced}
	}
	return refusal(c.Ref, fmt.Sprintf("%s; runs attach %s %s", run.Reason, run.App, run.ID()))
}
