package pipeline

import (
	"context"
	"errors"
	"slices"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/redact"
	"lain.internal/lain/lain/report"
)

// BuildImage gives the image of the build that a release was made of, by its id in the engine of this machine. Where there is none it is
// built as the push built it, from what is left in the cache, and out is told of it, without the values of secrets. It
// is no run: it waits for a place among the builds and holds up no push. The end of ctx ends it. A release that was not
// built here, or cannot be any more, is a fault of kind NotFound.
func (p *Pipeline) BuildImage(ctx context.Context, r lain.Release, out report.Reporter) (id string, err error) {
	if err := p.o.Room(); err != nil {
		return "", err
	}
	former, err := p.buildsOf(ctx, r)
	if err != nil {
		return "", err
	}
	repository, src, err := p.builtFrom(ctx, r)
	if err != nil {
		return "", err
	}
	id, err = p.buildImage(ctx, r, former, repository, src, out)
	return id, causeOf(ctx, p.shortage(unmade(r, former, err)))
}

func (p *Pipeline) buildImage(ctx context.Context, r lain.Release, former []lain.Build, repository *repo.Repository, src source, out report.Reporter) (string, error) {
	secrets, err := p.buildSecrets(ctx, src.manifest)
	if err != nil {
		return "", err
	}
	out = hiding{out, redact.New(valuesOf(secrets))}
	job, err := p.o.Builder.Open(ctx, src.request(repository, r.Run, secrets), out)
	if err != nil {
		return "", err
	}
	defer job.Close()
	if !slices.ContainsFunc(former, func(b lain.Build) bool { return b.Key == job.Key() }) {
		out.Report(report.Event{At: p.o.Now(), Kind: report.Warning, Text: "A base image, a build secret or the server has changed since " + r.Version() +
			" was built: this is its commit, built with what there is now"})
	}
	return job.BuildImage(ctx)
}

// buildsOf are the records of the builds that made a release's image: at least one, or a fault.
func (p *Pipeline) buildsOf(ctx context.Context, r lain.Release) ([]lain.Build, error) {
	var all []lain.Build
	if err := values(ctx, p.kinds.builds, r.App, &all); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(b lain.Build) bool { return b.Image != r.Image })
	if len(all) == 0 {
		return nil, fault.New(fault.NotFound, "%s of %s has no build image: it was not built here", r.Version(), r.App)
	}
	return all, nil
}

// builtFrom reads the commit of a release and its lain.yaml again.
func (p *Pipeline) builtFrom(ctx context.Context, r lain.Release) (*repo.Repository, source, error) {
	var src source
	repository, err := p.o.Repos.Open(ctx, r.App)
	if err != nil {
		return nil, src, err
	}
	if src.commit, err = repository.Commit(ctx, string(r.Commit)); errors.Is(err, repo.ErrNotFound) {
		return nil, src, fault.Hide(fault.NotFound, err, "%s of %s has no build image: its commit %s is not in the repository any more", r.Version(), r.App, r.Commit.Short())
	}
	if err != nil {
		return nil, src, err
	}
	src.manifest, _, err = readManifest(ctx, repository, r.App, r.Commit)
	if f := fault.Of(err); err != nil && f.Kind == fault.Invalid {
		err = fault.Hide(fault.NotFound, err, "%s of %s has no build image: lain.yaml of %s cannot be read any more: %s", r.Version(), r.App, r.Commit.Short(), f.Error()).
			WithHint("%s", f.Hint)
	}
	return repository, src, err
}

// unmade says what to do about a build that fails now: pushing again is no way out.
func unmade(r lain.Release, former []lain.Build, err error) error {
	if err == nil {
		return nil
	}
	said := *fault.Of(err)
	switch said.Kind {
	case fault.Failed:
		said.Hint = "At a terminal (ssh -t) its output is shown. When it was pushed it built, see:\n" +
			"logs " + string(r.App) + " --run " + lain.Run{Number: former[0].BuiltBy}.ID()
	case fault.Unavailable:
		said.Hint = "Say it again; if it stays, the server's log has the details."
	default:
		return err
	}
	return &said
}

// hiding is a reporter that is not told the values of secrets.
type hiding struct {
	to     report.Reporter
	hidden *redact.Redactor
}

// Report hands an event on.
func (h hiding) Report(e report.Event) {
	e.Text = h.hidden.Text(e.Text)
	h.to.Report(e)
}
