package pipeline

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/state"
	"lain.internal/lain/vaultbridge"
)

const withSecret = goodManifest + "  secret_files: [conf/key]\nworker:\n  cmd: work\n"

// vault plays the room of secrets: files have versions, and it notes what was restored.
type vault struct {
	mu       sync.Mutex
	files    map[lain.SecretPath]int // version
	config   int
	away     error
	restored []lain.ProcSpec
}

func (v *vault) set(path lain.SecretPath, version int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files[path] = version
}

func (v *vault) Check(ctx context.Context, app lain.AppName, needs []vaultbridge.Need) error {
	_, err := v.Deliver(ctx, app, needs)
	return err
}

func (v *vault) Deliver(_ context.Context, app lain.AppName, needs []vaultbridge.Need) (vaultbridge.Delivery, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away != nil {
		return vaultbridge.Delivery{}, v.away
	}
	d := vaultbridge.Delivery{Secrets: map[lain.ProcName][]lain.SecretMount{}}
	missing := &vaultbridge.MissingError{App: app}
	for _, n := range needs {
		for _, path := range n.Files {
			if v.files[path] == 0 {
				missing.Files = append(missing.Files, vaultbridge.MissingFile{Proc: n.Proc, Path: path})
				continue
			}
			d.Secrets[n.Proc] = append(d.Secrets[n.Proc], lain.SecretMount{Secret: fmt.Sprintf("l-%d", v.files[path]), Path: path, Version: v.files[path]})
		}
	}
	if len(missing.Files) > 0 {
		return vaultbridge.Delivery{}, missing
	}
	if v.config > 0 {
		d.Config = &lain.ConfigMount{Secret: fmt.Sprintf("c-%d", v.config), Version: v.config}
	}
	return d, nil
}

func (v *vault) Build(ctx context.Context, app lain.AppName, paths []lain.SecretPath) ([]vaultbridge.BuildFile, error) {
	d, err := v.Deliver(ctx, app, []vaultbridge.Need{{Files: paths}})
	var files []vaultbridge.BuildFile
	for _, m := range d.Secrets[""] {
		files = append(files, vaultbridge.BuildFile{Path: m.Path, Version: m.Secret, Value: []byte("build-secret-value")})
	}
	return files, err
}

func (v *vault) Values(context.Context, lain.AppName, []lain.ProcSpec) ([]string, error) {
	return []string{"hunter2hunter2"}, nil
}

func (v *vault) Restore(_ context.Context, _ lain.AppName, procs []lain.ProcSpec) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.restored = append(v.restored, procs...)
	return nil
}

func newVaultWorld(t *testing.T, judge func(lain.ProcWant) lain.ProcSeen) (*world, *vault) {
	w := newWorld(t)
	w.engine(judge)
	v := &vault{files: map[lain.SecretPath]int{}}
	w.p.o.Secrets = v
	return w, v
}

// pinned are the versions of web's secret and of everybody's config in a release, and since when containers are.
func (w *world) pinned(n int) (secret, config, web, worker int) {
	r := w.release(n)
	p, _ := r.Proc("web")
	q, _ := r.Proc("worker")
	for _, m := range p.Secrets {
		secret = m.Version
	}
	if p.Config != nil {
		config = p.Config.Version
	}
	return secret, config, p.Since, q.Since
}

func (w *world) wantPinned(n, secret, config, web, worker int) {
	w.t.Helper()
	if a, b, c, d := w.pinned(n); a != secret || b != config || c != web || d != worker {
		w.t.Errorf("v%d: secret %d, config %d, containers of v%d and v%d; want %d, %d, v%d and v%d", n, a, b, c, d, secret, config, web, worker)
	}
}

func TestMissingSecretsAreRefusedBeforeARun(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	c := w.commit(goodManifest+"  secret_files: [conf/key, /etc/cert, other]\n", "one")
	_, err := w.trySubmit(c)
	if err == nil || !strings.Contains(err.Error(), "3 secret files are missing") {
		t.Fatalf("%v", err)
	}
	if hint := fault.Of(err).Hint; strings.Count(hint, "secret put -p web hello") != 3 {
		t.Errorf("the hint has not all three commands:\n%s", hint)
	}
	for _, path := range []lain.SecretPath{"/lain/app/conf/key", "/etc/cert", "/lain/app/other"} {
		v.set(path, 1)
	}
	if run := w.wait(w.submit(c)); run.State != lain.RunDone || run.Number != 1 {
		t.Errorf("%+v", run)
	}
}

// A build gets the newest version of its secrets, is refused without them before there is a run, and cannot show them.
func TestBuildSecretsAreGivenAndHidden(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	c := w.commit(strings.Replace(goodManifest, "build:", "build:\n  secrets: [token]", 1), "one")
	if _, err := w.trySubmit(c); err == nil || !strings.Contains(err.Error(), "/run/secrets/token of the build") ||
		!strings.Contains(fault.Of(err).Hint, "secret put hello /run/secrets/token < FILE") {
		t.Fatalf("%v", err)
	}
	v.set("/run/secrets/token", 3)
	w.build.on("build", func(context.Context) error {
		w.build.reporter.Report(report.Event{Kind: report.Output, Text: "it is build-secret-value"})
		return nil
	})
	run := w.wait(w.submit(c))
	if log := w.log(run); run.State != lain.RunDone || !strings.Contains(log, "it is [redacted]") || strings.Contains(log, "build-secret-value") {
		t.Errorf("%s, the log says:\n%s", run.State, log)
	}
	if got := fmt.Sprint(w.build.asked.Secrets); got != "[token as l-3]" || string(w.build.asked.Secrets[0].Value) != "build-secret-value" {
		t.Errorf("the build got %s", got)
	}
}

func TestASecretRollsOnlyTheProcsThatHaveIt(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	v.set("/lain/app/conf/key", 1)
	w.wait(w.submit(w.commit(withSecret, "one")))
	w.wantPinned(1, 1, 0, 1, 1)
	v.set("/lain/app/conf/key", 2)
	w.wait(w.change(lain.Change{Why: lain.WhySecrets}))
	w.wantPinned(2, 2, 0, 2, 1)
}

func TestAScaleReleasesNothingThatIsStaged(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	v.set("/lain/app/conf/key", 1)
	w.wait(w.submit(w.commit(withSecret, "one")))
	v.set("/lain/app/conf/key", 2)
	two := 2
	w.wait(w.change(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": {Instances: &two}}}))
	w.wait(w.change(lain.Change{Why: lain.WhyRestart}))
	w.wantPinned(2, 1, 0, 1, 1)
	w.wantPinned(3, 1, 0, 3, 3)
	w.wait(w.change(lain.Change{Why: lain.WhyRedeploy}))
	w.wantPinned(4, 2, 0, 4, 4)
}

func TestARollbackKeepsARotatedSecretUnlessTheOldOneIsAskedFor(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	v.set("/lain/app/conf/key", 1)
	w.wait(w.submit(w.commit(withSecret, "one")))
	v.set("/lain/app/conf/key", 2)
	w.wait(w.submit(w.commit(withSecret, "two")))
	w.wait(w.change(lain.Change{Why: lain.WhyRollback, From: 1}))
	w.wantPinned(3, 2, 0, 3, 3)
	w.wait(w.change(lain.Change{Why: lain.WhyRollback, From: 1, OldSecrets: true}))
	w.wantPinned(4, 1, 0, 4, 3)
	if len(v.restored) == 0 {
		t.Error("nobody made sure that the engine has the old secret")
	}
}

func TestConfigIsAskedForOnceItMayBeThere(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	v.config = 4
	w.wait(w.submit(w.commit(goodManifest, "one")))
	w.wantPinned(1, 0, 0, 1, 0)
	apps := state.Of[lain.App](w.store, lain.AppsPrefix)
	app := w.app()
	app.Config = true
	if _, err := apps.Put(t.Context(), "hello", app); err != nil {
		t.Fatal(err)
	}
	w.wait(w.change(lain.Change{Why: lain.WhySecrets}))
	w.wantPinned(2, 0, 4, 2, 0)
}

func TestAVaultThatIsAwayRefusesOnlyWhoNeedsIt(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	v.away = fault.New(fault.Unavailable, "the vault is sealed")
	if run := w.wait(w.submit(w.commit(goodManifest, "one"))); run.State != lain.RunDone {
		t.Errorf("without secrets: %s: %s", run.State, run.Reason)
	}
	run := w.wait(w.submit(w.commit(withSecret, "two")))
	if run.State != lain.RunFailed || !strings.Contains(run.Reason, "the vault is sealed, v1 still serves") {
		t.Errorf("with secrets: %s: %s", run.State, run.Reason)
	}
	if w.app().LastRelease != 1 {
		t.Errorf("a refusal left release v%d", w.app().LastRelease)
	}
}

func TestValuesAreTakenOutOfTheLog(t *testing.T) {
	leak := func(w lain.ProcWant) lain.ProcSeen {
		s := sick()(w)
		s.Failure.LogTail = []string{"connecting with hunter2hunter2"}
		return s
	}
	w, v := newVaultWorld(t, leak)
	v.set("/lain/app/conf/key", 1)
	run := w.wait(w.submit(w.commit(withSecret, "one")))
	if log := w.log(run); strings.Contains(log, "hunter2") || !strings.Contains(log, "connecting with [redacted]") {
		t.Errorf("%s", log)
	}
}
