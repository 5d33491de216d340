//go:build acceptance

package stories

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// victims is how many towns share the list of points. Two fit a machine of two cores.
const victims = 2

// A server that dies before or after any of the writes of a push is started again: then the branch names the
// commit that serves, which is the old or the new one; the pusher was told success only if it is the new one;
// no request was lost meanwhile; and the next push comes as far as its own point, which is a later one, or through.
//
// It is no parallel story: a server that needs seconds to come back, on a machine that is busy with others, loses what it
// may lose (docs/design.md, section 6).
func TestKillAtEveryWriteOfAPush(t *testing.T) {
	var all []*victim
	for range victims {
		all = append(all, newVictim(t))
	}
	points := only(all[0].record())
	t.Logf("%d points: %s", len(points), strings.Join(points, " "))
	for i, v := range all {
		t.Run(fmt.Sprint("town", i), func(t *testing.T) {
			t.Parallel()
			var mine []string
			for k := i; k < len(points); k += victims {
				mine = append(mine, points[k])
			}
			v.dieAtEach(t, mine)
		})
	}
}

// only leaves the points whose name holds LAIN_POINTS, for a look at some of them.
func only(points []string) []string {
	part := os.Getenv("LAIN_POINTS")
	return slices.DeleteFunc(points, func(p string) bool { return !strings.Contains(p, part) })
}

// victim is an application that serves on a server that dies.
type victim struct {
	t        *testing.T
	tw       *town.Town
	app      *town.App
	watch    *town.Watch
	versions map[string]string // by commit
	serving  string            // the commit
	away     time.Duration     // from the server's end to its next start
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	tw := town.New(t, town.Options{Binary: "laind-failpoint"})
	v := &victim{t: t, tw: tw, app: tw.NewApp(t, "victim"), versions: map[string]string{}}
	v.app.Manifest("", migrates)
	v.serving = v.app.Commit("with a oneshot")
	v.versions[v.serving] = "one"
	v.app.MustPush()
	v.watch = v.app.Watch()
	return v
}

// change commits a new version.
func (v *victim) change() string {
	version := fmt.Sprintf("version-%d", len(v.versions)+1)
	commit := v.app.Change(version)
	v.versions[commit] = version
	return commit
}

// restart starts the server with other failpoints.
func (v *victim) restart(env []string) error {
	if err := v.tw.Kill(); err != nil {
		return err
	}
	return v.tw.Start(v.t.Context(), env...)
}

// record lists the points that a push passes, from its first byte until all has settled: each name's first and
// last time, but for those before a write that follow right behind another write. Nothing lies between the two: who dies
// before the second dies after the first.
func (v *victim) record() []string {
	v.t.Helper()
	log := filepath.Join(v.t.TempDir(), "points")
	if err := v.restart(v.tw.Failpoint("", log)); err != nil {
		v.t.Fatal(err)
	}
	v.serving = v.change()
	must(v.t, v.tw.Arm())
	v.app.MustPush()
	must(v.t, v.app.Settled())
	must(v.t, v.tw.Disarm())
	f, err := os.Open(log)
	must(v.t, err)
	defer f.Close()
	var names []string
	last, previous := map[string]string{}, ""
	for s := bufio.NewScanner(f); s.Scan(); {
		name, n, _ := strings.Cut(s.Text(), "#")
		same := strings.HasSuffix(name, ":before") && strings.HasSuffix(previous, ":after")
		if previous = name; same {
			continue
		}
		if last[name] == "" {
			names = append(names, name)
		}
		last[name] = n
	}
	var points []string
	for _, name := range names {
		points = append(points, name+"#1")
		if last[name] != "1" {
			points = append(points, name+"#"+last[name])
		}
	}
	return points
}

// dieAtEach tries the points one behind the other: what a death left behind and stands in the way of pushes is met by
// the push that dies at one of the next points, or by the last one, which nothing kills.
func (v *victim) dieAtEach(t *testing.T, points []string) {
	var broken []string
	for _, point := range points {
		began := time.Now()
		what, err := v.dieAt(point)
		t.Logf("%-40s %4.1f s  %s", point, time.Since(began).Seconds(), what)
		if err != nil {
			broken = append(broken, fmt.Sprintf("%s: %v", point, err))
			t.Errorf("%s: %v", point, err)
		}
	}
	if err := v.pushThrough(); err != nil {
		broken = append(broken, err.Error())
	}
	if len(broken) > 0 {
		t.Errorf("%d of %d points are broken:\n%s", len(broken), len(points), strings.Join(broken, "\n"))
	}
}

// dieAt pushes to a server that dies at the point, and tells what happened and what is wrong afterwards.
func (v *victim) dieAt(point string) (what string, err error) {
	if err := v.restart(v.tw.Failpoint(point, "")); err != nil {
		return "", err
	}
	commit := v.change()
	must(v.t, v.tw.Arm())
	r, died := v.push()
	must(v.t, v.tw.Disarm())
	what = fmt.Sprintf("push ended with %d", r.Code)
	if !died {
		what += " (the point was not passed)"
		if r.Code != 0 {
			err = fmt.Errorf("the push was refused before its point:\n%s", r.All())
		}
	}
	time.Sleep(v.away)
	if err := v.restart(nil); err != nil {
		return what, fmt.Errorf("the next start: %w", err)
	}
	if err := v.app.Settled(); err != nil {
		return what, err
	}
	outcome, wrong := v.judge(commit, r.Code)
	return what + outcome, errors.Join(err, wrong)
}

// pushThrough pushes with nothing in the way.
func (v *victim) pushThrough() error {
	commit := v.change()
	if r := v.app.Push(); r.Code != 0 {
		return fmt.Errorf("the last push ended with %d:\n%s", r.Code, r.All())
	}
	v.serving = commit
	_, err := v.judge(commit, 0)
	return err
}

// push pushes until it has ended and the server has died, if it dies.
func (v *victim) push() (r town.Result, died bool) {
	p := v.app.BeginPush()
	r = p.Wait()
	select {
	case <-v.tw.Exited():
		return r, true
	case <-time.After(2 * time.Second): // what comes after the answer may be passed still
		return r, false
	}
}

// judge compares what main names and what serves, and makes it what is expected next.
func (v *victim) judge(pushed string, code int) (what string, err error) {
	main := v.app.RemoteMain()
	version, err := v.app.Version()
	what = fmt.Sprintf(" %s serves", version)
	lost, _ := v.watch.Lost()
	switch {
	case err != nil:
		return what, err
	case main != v.serving && main != pushed:
		return what, fmt.Errorf("main names %q, neither the old commit %s nor the pushed one %s", main, v.serving, pushed)
	case version != v.versions[main]:
		return what, fmt.Errorf("main names %s, which is %s, but %s serves", main, v.versions[main], version)
	case code == 0 && main != pushed:
		return what, fmt.Errorf("the push succeeded, but %s serves", version)
	}
	v.serving = main
	if len(lost) > 0 {
		return what, fmt.Errorf("%d requests were lost:\n%s", len(lost), strings.Join(lost[:min(5, len(lost))], "\n"))
	}
	return what, nil
}

// A server that dies when the engine has begun to stop what the router knows, before the router knows anything else,
// may be away for a while: those who get requests are told of their end later than the engine means them to be.
func TestAServerThatComesBackLateLosesNoRequest(t *testing.T) {
	v := newVictim(t)
	v.away = 2 * time.Second
	v.dieAtEach(t, []string{"state.put.endpoints:before#1", "router.nginx.reload:before#1"})
}

// The same for the push that makes an application: either nothing serves and main names nothing, or both are
// the pushed commit.
func TestKillDuringAFirstPush(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Binary: "laind-failpoint"})
	for _, point := range only([]string{
		"git.create:before#1", "git.create:after#1", "state.commit.run:before#1", "state.commit.run:after#1",
		"state.commit.release:after#1", "engine.network.create:after#1", "engine.service.create:before#1", "engine.service.create:after#1",
		"state.put.routes:after#1", "state.commit.serves:before#1", "state.commit.serves:after#1", "git.updateref:before#1",
		"git.sethead:after#1", "state.commit.run.end:before#1",
	}) {
		t.Run(strings.NewReplacer(":", "-", "#", "-").Replace(point), func(t *testing.T) {
			v := &victim{t: t, tw: tw, app: tw.NewApp(t, "first"), watch: &town.Watch{}, versions: map[string]string{"": ""}}
			must(v.t, v.restart(tw.Failpoint(point, "")))
			commit := v.app.Head()
			v.versions[commit] = "one"
			must(v.t, tw.Arm())
			r, died := v.push()
			must(v.t, tw.Disarm())
			must(v.t, v.restart(nil))
			must(v.t, v.app.Settled())
			if !died {
				t.Errorf("the server never came to %s", point)
			}
			if main := v.app.RemoteMain(); main == "" {
				v.servesNothing(r.Code)
			} else if _, err := v.judge(commit, r.Code); err != nil {
				t.Error(err)
			}
			commit = v.change()
			v.app.MustPush()
			if _, err := v.judge(commit, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that dies while it takes a failed release back: whatever it had written of the return, there is one in
// the end, and it is the old commit that serves, by all that can be asked.
func TestKillDuringAReturn(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Binary: "laind-failpoint"})
	v := &victim{t: t, tw: tw, app: tw.NewApp(t, "returns"), versions: map[string]string{}}
	v.serving = v.app.Head()
	v.versions[v.serving] = "one"
	v.app.MustPush()
	v.watch = v.app.Watch()
	v.app.Manifest("-crash")
	for _, point := range only([]string{
		"state.commit.return:before#1", "state.commit.return:after#1", "git.updateref:before#1", "git.updateref:after#1",
		"git.sethead:after#1", "state.commit.run.end:before#1",
	}) {
		t.Run(strings.NewReplacer(":", "-", "#", "-").Replace(point), func(t *testing.T) {
			must(t, v.restart(tw.Failpoint(point, "")))
			bad := v.change()
			must(t, tw.Arm())
			r, died := v.push()
			must(t, tw.Disarm())
			must(t, v.restart(nil))
			must(t, v.app.Settled())
			if !died || r.Code == 0 {
				t.Errorf("the push ended with %d; the server died: %t", r.Code, died)
			}
			if _, err := v.judge(v.serving, r.Code); err != nil {
				t.Error(err)
			}
			v.returned(t, bad)
		})
	}
	v.app.Manifest("")
	commit := v.change()
	v.app.MustPush()
	if _, err := v.judge(commit, 0); err != nil {
		t.Error(err)
	}
}

// returned checks that the newest releases are one that failed, and its return to the first.
func (v *victim) returned(t *testing.T, failed string) {
	t.Helper()
	all := town.JSON[[]release](t, v.tw, "releases "+v.app.Name)
	back, bad, before := all[0], all[1], all[2]
	if back.Why != "return" || back.From != 1 || back.Commit != v.serving || back.Status != "serving" || back.Run != bad.Run {
		t.Errorf("the newest release is %+v", back)
	}
	if bad.Commit != failed || bad.Status != "failed" || before.Status != "replaced" || before.Commit != v.serving {
		t.Errorf("before the return there are %+v and %+v", bad, before)
	}
	if refs := v.app.Git("ls-remote", "lain"); !strings.Contains(refs, fmt.Sprintf("%s\trefs/releases/v%d\n", v.serving, back.Number)) {
		t.Errorf("v%d is not filed:\n%s", back.Number, refs)
	}
}

// servesNothing checks an application that has no branch.
func (v *victim) servesNothing(code int) {
	v.t.Helper()
	if code == 0 {
		v.t.Error("the push succeeded, but main names nothing")
	}
	if version, err := v.app.Version(); err == nil {
		v.t.Errorf("main names nothing, but %s serves", version)
	}
}
