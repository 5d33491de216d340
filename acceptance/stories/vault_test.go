//go:build acceptance

package stories

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/acceptance/lab"
	"lain.internal/lain/acceptance/load"
	"lain.internal/lain/acceptance/town"
)

// user is an application that cannot be released without the vault.
type user struct {
	*town.App
	t      *testing.T
	tw     *town.Town
	n      int    // of changes
	value  string // of its secret file, as it serves
	commit string // that serves
}

const userFile = "/lain/app/conf/key"

// newUser pushes one with a secret file and a config value.
func newUser(t *testing.T, tw *town.Town, prefix string, lines ...string) *user {
	t.Helper()
	u := &user{App: tw.NewApp(t, prefix), t: t, tw: tw, value: "value-0"}
	put(t, tw, u.value, "secret put "+u.Name+" conf/key")
	put(t, tw, "hello", "config set "+u.Name+" GREETING")
	u.Manifest("", append(lines, "  secret_files: [conf/key]")...)
	u.commit = u.Commit("with a secret")
	u.MustPush()
	u.hasItsOwn()
	return u
}

// hasItsOwn checks what is inside its containers.
func (u *user) hasItsOwn() {
	u.t.Helper()
	if got := inside(u.t, u.tw, u.App, userFile); got != u.value {
		u.t.Errorf("the secret file of %s is %q, want %q", u.Name, got, u.value)
	}
	if got, _ := variable(u.t, u.tw, u.App, "GREETING"); got != "hello" {
		u.t.Errorf("GREETING of %s is %q", u.Name, got)
	}
}

// attempt is a push of a user's: a new version with a new value of its secret, which the engine has not got yet.
type attempt struct {
	u       *user
	commit  string
	version string
	value   string
	serves  int // the release before it
	tasks   map[string]string
	push    *town.Running
}

// prepare stages a new value and commits a new version; steps change lain.yaml before that.
func (u *user) prepare(steps ...func()) *attempt {
	u.t.Helper()
	value := fmt.Sprintf("value-%d", u.n+1)
	put(u.t, u.tw, value, "secret put "+u.Name+" conf/key --stage")
	a := u.prepareUnstaged(steps...)
	a.value = value
	return a
}

// prepareUnstaged commits a new version alone, for when the vault is away.
func (u *user) prepareUnstaged(steps ...func()) *attempt {
	u.t.Helper()
	u.n++
	a := &attempt{u: u, version: fmt.Sprintf("version-%d", u.n), value: u.value, tasks: tasks(u.t, u.tw, u.App)}
	u.Manifest("", "  secret_files: [conf/key]")
	for _, step := range steps {
		step()
	}
	a.commit = u.Change(a.version)
	for _, r := range town.JSON[[]release](u.t, u.tw, "releases "+u.Name) {
		if r.Status == "serving" {
			a.serves = r.Number
		}
	}
	return a
}

func (a *attempt) begin() *attempt {
	a.push = a.u.BeginPush()
	return a
}

// ends waits for the push. It has succeeded, and the new version serves with the new value; or it was refused in
// a sentence that names the vault and what serves, and nothing has changed. Where must is given, it was refused
// for that reason.
func (a *attempt) ends(must string) (succeeded bool) {
	u := a.u
	u.t.Helper()
	r := a.push.Wait()
	if r.Code == 0 && must == "" {
		u.commit, u.value = a.commit, a.value
		u.Truth(a.commit, a.version)
		u.hasItsOwn()
		return true
	}
	r.Refused(u.t, "the vault "+must)
	r.Refused(u.t, fmt.Sprintf("v%d still serves", a.serves))
	if got := u.RemoteMain(); got != u.commit {
		u.t.Errorf("a refused push moved main to %s", got)
	}
	if now := tasks(u.t, u.tw, u.App); now["web"] != a.tasks["web"] {
		u.t.Errorf("a refused push replaced containers: %v, before %v", now, a.tasks)
	}
	if last := newestRun(u.t, u.tw, u.App); last.State != "failed" {
		u.t.Errorf("the refused run is %s: %s", last.State, last.Reason)
	}
	u.hasItsOwn()
	return false
}

// goesOn pushes once more, which must succeed.
func (u *user) goesOn() {
	u.t.Helper()
	a := u.prepare()
	a.begin()
	if r := a.push.Wait(); r.Code != 0 {
		u.t.Errorf("the push afterwards: exit %d\n%s", r.Code, r.All())
		return
	}
	u.commit, u.value = a.commit, a.value
	u.Truth(a.commit, a.version)
	u.hasItsOwn()
}

// verbsSay gives verbs that need the vault: each works or asks to be given again, by exit code 75 and a sentence
// about the vault. Where lasting, none can work.
func (u *user) verbsSay(lasting bool) {
	u.t.Helper()
	var all sync.WaitGroup
	for _, words := range []string{"secret list " + u.Name, "secret get " + u.Name + " conf/key", "secret put " + u.Name + " conf/other --stage",
		"config set " + u.Name + " OTHER --stage"} {
		all.Go(func() {
			r := u.tw.SSHAs(u.t, u.tw.Key, words, strings.NewReader("something"))
			if r.Code == 0 && !lasting {
				return
			}
			if r.Code != 75 || !strings.Contains(r.Stderr, "the vault ") || strings.Contains(r.Stderr, "goroutine") {
				u.t.Errorf("%s: exit %d: %s", words, r.Code, r.All())
			}
		})
	}
	all.Wait()
}

// bystander is an application with secrets that serves under load while the vault is in trouble.
type bystander struct {
	*user
	load  *load.Load
	tasks map[string]string
}

func newBystander(t *testing.T, tw *town.Town) *bystander {
	t.Helper()
	b := &bystander{user: newUser(t, tw, "steady", twoInstances...)}
	b.tasks = tasks(t, tw, b.App)
	b.load = b.Load(load.Options{Rate: 50, PostEvery: 50, Sockets: 1})
	answered(t, b.load, 50)
	return b
}

// untouched stops the load: nothing was lost, and the containers are those that were.
func (b *bystander) untouched() {
	b.t.Helper()
	answered(b.t, b.load, 50)
	if r := b.NoneLost(b.load); r.Sockets.Closed > 0 {
		b.t.Errorf("a websocket was ended:\n%s", r)
	}
	if now := tasks(b.t, b.tw, b.App); now["web"] != b.tasks["web"] {
		b.t.Errorf("its containers are %v, and were %v", now, b.tasks)
	}
	b.hasItsOwn()
}

// trouble is what befalls the machine's vault. It ends by itself, or else by end.
type trouble struct {
	name   string
	befall func(t *testing.T, tw *town.Town) (end func())
	lasts  bool
	reason string // of a push that begins meanwhile, where the trouble lasts
}

var troubles = []trouble{
	{name: "killed", befall: func(t *testing.T, tw *town.Town) func() { tw.SignalVault(t, "KILL"); return nil }},
	{name: "sealed", befall: func(t *testing.T, tw *town.Town) func() { seal(t, tw); return nil }},
	{name: "socket removed", befall: func(t *testing.T, tw *town.Town) func() { must(t, os.Remove(tw.VaultSocket())); return nil }},
	{name: "socket refuses", befall: func(t *testing.T, tw *town.Town) func() { deadSocket(t, tw.VaultSocket()); return nil }},
	{name: "paused", befall: func(t *testing.T, tw *town.Town) func() { tw.SignalVault(t, "STOP"); return nil }},
	{name: "sealed and its key taken away", lasts: true, reason: "is sealed", befall: func(t *testing.T, tw *town.Town) func() {
		root := tw.VaultRoot(t)
		must(t, os.Rename(tw.VaultKeyFile(), tw.VaultKeyFile()+".away"))
		must(t, root.Call(t.Context(), "PUT", "sys/seal", nil, nil))
		return func() { must(t, os.Rename(tw.VaultKeyFile()+".away", tw.VaultKeyFile())) }
	}},
}

func seal(t *testing.T, tw *town.Town) {
	t.Helper()
	must(t, tw.VaultRoot(t).Call(t.Context(), "PUT", "sys/seal", nil, nil))
}

// deadSocket puts one behind which nobody is in the place of a socket.
func deadSocket(t *testing.T, path string) {
	t.Helper()
	must(t, os.Remove(path))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
}

// Whatever befalls the machine's vault, before a push, in the midst of its build, or right before it asks for
// secrets: the push succeeds or is refused in a sentence, what needs no secrets is not held up, what runs is not
// touched, and afterwards all works without anybody's help.
func TestVaultTrouble_AtEveryStage(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	steady := newBystander(t, tw)
	users := []*user{newUser(t, tw, "before"), newUser(t, tw, "building"), newUser(t, tw, "asking")}
	plain := tw.NewApp(t, "plain")
	plain.MustPush()
	for _, trouble := range troubles {
		if !t.Run(trouble.name, func(t *testing.T) {
			for _, u := range append(users, steady.user) {
				u.t = t
			}
			trouble.happens(t, tw, users, plain, steady.user)
		}) {
			break // the next one would only suffer from it
		}
	}
	for _, u := range append(users, steady.user) {
		u.t = t
	}
	steady.untouched()
}

func (tr trouble) happens(t *testing.T, tw *town.Town, users []*user, plain *town.App, steady *user) {
	building, testing := newHold(t), newHold(t)
	pushes := []*attempt{
		users[0].prepare(),
		users[1].prepare(func() { script(t, users[1].App, building.command()) }),
		users[2].prepare(func() {
			section(t, users[2].App, "web:", "test:\n  script: "+list([]string{testing.command()})+"\nweb:")
		}),
	}
	pushes[1].begin()
	pushes[2].begin()
	building.reached()
	testing.reached()
	plain.Change("plain " + tr.name)

	if !tr.lasts {
		testing.letGo()
		pushes[2].push.Sees("Storing the image") // the stage before the secrets
	}
	end := tr.befall(t, tw)
	testing.letGo()
	pushes[0].begin()
	building.letGo()
	if r := plain.MustPush(); strings.Contains(r.Stderr, "Fetching secrets") {
		t.Errorf("an application without secrets asks the vault:\n%s", r.Stderr)
	}
	steady.verbsSay(tr.lasts)
	for i, p := range pushes {
		t.Logf("%s: the push succeeded: %v", []string{"before it", "during the build", "right before the secrets"}[i], p.ends(tr.reason))
	}
	if end != nil {
		end()
	}
	works(t, tw, steady)
	users[0].goesOn()
}

// works waits until the vault does again, without anybody's help.
func works(t *testing.T, tw *town.Town, u *user) {
	t.Helper()
	vaultHas(t, tw, u, u.value)
}

// vaultHas waits until the vault tells this value of the user's secret file.
func vaultHas(t *testing.T, tw *town.Town, u *user, value string) {
	t.Helper()
	u.Eventually("the vault works again", 2*time.Minute, func() error {
		if r := tw.SSH(t, "secret get "+u.Name+" conf/key"); r.Code != 0 || r.Stdout != value {
			return fmt.Errorf("exit %d: %s", r.Code, r.All())
		}
		return nil
	})
}

// The vault was started again by somebody while the server was away, so it is sealed. Containers that crash
// meanwhile have their secrets, and the next server opens it.
func TestVaultRestartedByHandWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	steady := newBystander(t, tw)
	u := newUser(t, tw, "restarted")
	must(t, tw.Stop())
	tw.SignalVault(t, "KILL")
	byHand := startedByHand(t, tw)
	crashes(t, tw, u)
	select {
	case <-byHand:
		t.Fatal("the vault that was started by hand has ended")
	default:
	}
	must(t, tw.Start(t.Context()))
	u.servesAgain()
	works(t, tw, u)
	u.goesOn()
	steady.untouched()
}

// startedByHand starts the machine's vault as the server would, and returns when it answers that it is sealed.
func startedByHand(t *testing.T, tw *town.Town) (ended <-chan struct{}) {
	t.Helper()
	home := strings.TrimSuffix(tw.VaultKeyFile(), "/unseal.key")
	cmd := tw.Lab.Exec(context.Background(), "n1", town.Bin("lain-vault"), "-dir", home, "-socket", tw.VaultSocket())
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = lab.Signal(cmd, 9); <-gone })
	must(t, town.Until(t.Context(), time.Minute, func() error {
		sealed, err := town.VaultClient{Socket: tw.VaultSocket()}.Sealed(t.Context())
		if err == nil && !sealed {
			err = errors.New("it is not sealed")
		}
		return err
	}))
	return gone
}

// crashes kills the program in the container and waits until the engine has started another.
func crashes(t *testing.T, tw *town.Town, u *user) {
	t.Helper()
	before := containers(t, tw, u.App)
	_, err := tw.Lab.Docker(t.Context(), "n1", "kill", "-s", "KILL", before)
	must(t, err)
	replaced(t, tw, u, before)
}

// replaced waits until another container runs, with the same secrets. The router may not know it yet.
func replaced(t *testing.T, tw *town.Town, u *user, before string) {
	t.Helper()
	u.Eventually("another container has its secrets", 2*time.Minute, func() error {
		now := containers(t, tw, u.App)
		if now == "" || strings.Contains(now, before) {
			return fmt.Errorf("containers %q, before %q", now, before)
		}
		for path, want := range map[string]string{userFile: u.value, "/lain/config": "GREETING=hello\x00"} {
			if got, err := tw.Lab.Docker(t.Context(), "n1", "exec", now, "cat", path); err != nil || !strings.Contains(got, want) {
				return fmt.Errorf("%s is %q (%v), want %q", path, got, err, want)
			}
		}
		return nil
	})
}

// servesAgain waits until the router knows the containers that are new.
func (u *user) servesAgain() {
	u.t.Helper()
	u.Eventually(u.Name+" serves again", time.Minute, func() error { _, err := u.Version(); return err })
	u.hasItsOwn()
}

// A vault that others run goes away in the midst of a push, and stays away.
func TestOutsideVaultGoesAway(t *testing.T) {
	t.Parallel()
	vault := town.NewOutsideVault(t)
	tw := town.New(t, town.Options{Args: vault.Args()})
	steady := newBystander(t, tw)
	users := []*user{newUser(t, tw, "before"), newUser(t, tw, "building")}
	h := newHold(t)
	pushes := []*attempt{users[0].prepare(), users[1].prepare(func() { script(t, users[1].App, h.command()) })}
	pushes[1].begin()
	h.reached()
	vault.Kill()
	h.letGo()
	pushes[0].begin()
	plain := tw.NewApp(t, "plain")
	plain.MustPush()
	steady.verbsSay(true)
	for _, p := range pushes {
		p.ends("does not answer")
	}

	crashes(t, tw, users[0])
	users[0].servesAgain()
	byForce(t, tw, users[1])
	users[1].servesAgain()
	tw.Verb(t, "restart "+users[1].Name)
	users[1].hasItsOwn()
	must(t, tw.Stop())
	must(t, tw.Start(t.Context()))
	plain.Change("two")
	plain.MustPush()
	again := users[0].prepareUnstaged().begin()
	again.ends("does not answer")
	crashes(t, tw, users[0])
	users[0].servesAgain()

	vault.Up()
	works(t, tw, steady.user)
	for _, u := range users {
		u.goesOn()
	}
	steady.untouched()
}

// byForce has the engine replace the containers of a service, by hand.
func byForce(t *testing.T, tw *town.Town, u *user) {
	t.Helper()
	before := containers(t, tw, u.App)
	service, err := tw.Lab.Docker(t.Context(), "n1", "service", "ls", "-q", "--filter", "label=lain.app="+u.Name)
	must(t, err)
	cmd := exec.Command("docker", "-H", tw.Lab.DockerHost("n1"), "service", "update", "--force", "-d", strings.TrimSpace(service))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("service update --force: %v\n%s", err, out)
	}
	replaced(t, tw, u, before)
}

// A server whose own vault cannot come up starts all the same: what needs no secrets is served and pushed, and
// when the vault can come up again, nobody has to say so.
func TestServerStartsWithoutItsVault(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	u := newUser(t, tw, "locked")
	plain := tw.NewApp(t, "plain")
	plain.MustPush()
	key := tw.VaultKeyFile()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tw.Stop())
	tw.SignalVault(t, "KILL")
	must(os.Rename(key, key+".away"))
	must(tw.Start(t.Context()))
	u.hasItsOwn()
	commit := plain.Change("two")
	plain.MustPush()
	plain.Truth(commit, "two")
	if r := tw.SSH(t, "secret list "+u.Name); r.Code != 75 || !strings.Contains(r.Stderr, "vault") {
		t.Errorf("secret list: exit %d\n%s", r.Code, r.All())
	}
	must(os.Rename(key+".away", key))
	u.Eventually("the vault is back", 3*time.Minute, func() error {
		if r := tw.SSH(t, "secret list "+u.Name); r.Code != 0 {
			return fmt.Errorf("exit %d: %s", r.Code, r.Stderr)
		}
		return nil
	})
	u.Change("two")
	u.MustPush()
	u.hasItsOwn()
}
