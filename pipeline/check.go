package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/state"
)

// maxManifest bounds lain.yaml, in bytes.
const maxManifest = 1 << 20

// check refuses what needs no run to be refused.
func (p *Pipeline) check(ctx context.Context, req *lain.RunRequest) error {
	if req.Change != nil {
		return p.checkChange(ctx, req)
	}
	r, err := p.o.Repos.Open(ctx, req.App)
	if err != nil {
		return err
	}
	m, _, err := readManifest(ctx, r, req.App, req.Commit)
	if err != nil {
		return err
	}
	if err := p.hostsFree(ctx, m); err != nil {
		return err
	}
	if err := p.checkSecrets(ctx, m); err != nil {
		return err
	}
	return checkTree(ctx, r, req.Commit, p.o.MaxTreeBytes)
}

// readManifest reads and checks lain.yaml of a commit.
func readManifest(ctx context.Context, r *repo.Repository, app lain.AppName, commit lain.Commit) (*manifest.Manifest, manifest.Findings, error) {
	data, err := r.ReadFile(ctx, commit, "lain.yaml", maxManifest)
	if errors.Is(err, repo.ErrNotFound) {
		return nil, nil, fault.New(fault.Invalid, "the commit %s has no lain.yaml at its root", commit.Short()).
			WithHint("lain.yaml says how the application is built and run. The smallest one:\n\n  appname: %s\n  build:\n    base: IMAGE\n  web:\n    cmd: COMMAND\n    port: 8080", app)
	}
	if err != nil {
		return nil, nil, err
	}
	m, findings := manifest.Parse("lain.yaml", data)
	if err := findings.Err(); err != nil {
		return nil, findings, err
	}
	if m.AppName != app {
		return nil, findings, m.At(m.NameLine(), fault.New(fault.Invalid, "appname is %q but the push goes to %q", m.AppName, app).
			WithHint("Change appname, or the remote's URL to end in :%s", m.AppName))
	}
	if len(m.Procs) == 0 {
		return nil, findings, fault.New(fault.Invalid, "no proc is declared").At("lain.yaml", 1, 0, "").
			WithHint("Add one, for instance:\n\n  web:\n    cmd: COMMAND\n    port: 8080")
	}
	return m, findings, nil
}

// maxEntries bounds the number of files of a commit.
const maxEntries = 200_000

// checkTree refuses trees that can't be built: submodules, more files than the limit, and more bytes than
// maxBytes (0: any). A pack of a few kilobytes can hold any number of either.
func checkTree(ctx context.Context, r *repo.Repository, commit lain.Commit, maxBytes int64) error {
	n, room := 0, maxBytes
	return r.Entries(ctx, commit, func(e repo.Entry) error {
		n++
		if e.Submodule() {
			return fault.New(fault.Invalid, "%q is a git submodule, and submodules are not served yet", e.Path).
				WithHint("Add its files to this repository: git rm --cached %s, then git add its content.", e.Path)
		}
		if n > maxEntries {
			return fault.New(fault.Invalid, "the commit %s has more than %d files", commit.Short(), maxEntries).
				WithHint("Leave generated files out of git.")
		}
		if maxBytes > 0 && e.Size > room {
			return fault.New(fault.Invalid, "the files of commit %s are larger than %d MiB together, %q is where it is too much", commit.Short(), maxBytes>>20, e.Path).
				WithHint("Leave generated files out of git, or let the server's owner raise max-tree-bytes.")
		}
		room -= e.Size
		return nil
	})
}

// hostsFree refuses a manifest that wants a host which is another application's.
func (p *Pipeline) hostsFree(ctx context.Context, m *manifest.Manifest) error {
	routes, err := m.Routes(p.o.Cluster.Domains)
	if err != nil {
		return err
	}
	for _, route := range routes {
		if err := p.servable(ctx, m, route); err != nil {
			return err
		}
		claim, err := p.kinds.hosts.Get(ctx, route.Host)
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if claim.Value.App != m.AppName {
			return m.At(procLine(m, route.Proc), hostTaken(route.Host))
		}
	}
	return nil
}

// servable refuses a route that this cluster can't serve: https without a certificate, the cluster's domain
// itself, and a host below it that is another application's own, whether there is one of that name yet or not.
func (p *Pipeline) servable(ctx context.Context, m *manifest.Manifest, r lain.Route) error {
	if r.HTTPSOnly {
		if err := p.certified(ctx, r.Host); err != nil {
			why := fault.Of(err)
			return m.At(procLine(m, r.Proc), fault.Hide(why.Kind, err, "%s is https_only: %s", r.Proc, why.Sentence).WithHint("%s", why.Hint))
		}
	}
	for _, domain := range p.o.Cluster.Domains {
		label, below := strings.CutSuffix(r.Host, "."+domain)
		if r.Host == domain {
			return m.At(procLine(m, r.Proc), fault.New(fault.Conflict, "the host %s is the cluster's own", r.Host).
				WithHint("Choose another mountpoint in lain.yaml."))
		}
		if below && label != string(m.AppName) && !strings.HasSuffix(label, "."+string(m.AppName)) {
			return m.At(procLine(m, r.Proc), hostTaken(r.Host))
		}
	}
	return nil
}

func (p *Pipeline) certified(ctx context.Context, host string) error {
	if p.o.Certified == nil {
		return fault.New(fault.Invalid, "nothing is served over https here").WithHint("Remove https_only.")
	}
	return p.o.Certified(ctx, host)
}

func procLine(m *manifest.Manifest, name lain.ProcName) int {
	for _, p := range m.Procs {
		if p.Name == name {
			return p.Line
		}
	}
	return 0
}

func hostTaken(host string) *fault.Fault {
	return fault.New(fault.Conflict, "the host %s belongs to another application", host).
		WithHint("Choose another mountpoint in lain.yaml.")
}

// contained refuses a commit that does not contain what serves now, unless its pusher saw that and forced it.
func (p *Pipeline) contained(ctx context.Context, r *repo.Repository, run lain.Run, old lain.Commit) (forced bool, err error) {
	app, err := p.kinds.apps.Get(ctx, string(run.App))
	if err != nil || app.Value.Serving == 0 {
		return false, err
	}
	release, err := p.kinds.releases.Get(ctx, lain.NumberKey(run.App, app.Value.Serving))
	if err != nil {
		return false, fmt.Errorf("read the release that serves: %w", err)
	}
	serving := release.Value.Commit
	ok, err := r.Contains(ctx, run.Commit, serving)
	if err != nil || ok {
		return false, err
	}
	if old == serving {
		return true, nil // the pusher saw what serves and forced it away
	}
	return false, fault.New(fault.Conflict, "%s moved to %s while you waited", branchOf(run.Ref), serving.Short()).
		WithHint("Fetch, merge or rebase, and push again.")
}
