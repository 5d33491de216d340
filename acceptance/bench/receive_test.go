//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// refusing is git's update hook that takes nothing. Like ours it runs when the objects have been received,
// checked and moved out of quarantine, so both sides have done all that a push costs but the ref.
const refusing = "#!/bin/sh\nexit 1\n"

// receive measures what it takes to receive and check a push, without what a deployment adds: the ref is one
// that is refused, on both sides. Every push goes to a new, empty repository.
func receive(t *testing.T, w *world) []*table {
	out := &table{title: "Receive", head: []string{"push of", "lain", "sshd + git", "ratio", "aim"}}
	for _, c := range []struct {
		name    string
		history func(*history)
		aim     float64
	}{
		{"22 files in 3 commits", small, 0.6},
		{"20 000 objects", func(h *history) { h.large(20_000) }, 0.8},
		{"100 000 objects", func(h *history) { h.large(100_000) }, 0.9},
	} {
		src := w.history(t, c.history)
		s := sampled(w.n,
			func(int) time.Duration { return w.pushRefused(t, src, w.fresh(t, 1)) },
			func(int) time.Duration { return w.pushRefused(t, src, w.plain.fresh(t, 1)) })
		out.pair(c.name, s[0], s[1], c.aim)
	}
	src := w.history(t, small)
	s := sampled(w.n,
		func(int) time.Duration { return w.pushRefused(t, src, w.fresh(t, 20)) },
		func(int) time.Duration { return w.pushRefused(t, src, w.plain.fresh(t, 20)) })
	out.pair("20 of the small ones at once", s[0], s[1], 1)
	return []*table{out}
}

var serial int

// fresh makes empty applications and returns their URLs.
func (w *world) fresh(t *testing.T, n int) (urls []string) {
	t.Helper()
	for range n {
		serial++
		name := fmt.Sprintf("recv%d", serial)
		w.Verb(t, "apps create "+name)
		urls = append(urls, fmt.Sprintf("ssh://lain@%s:%d/%s", w.IP(), town.SSHPort, name))
	}
	return urls
}

func (p *plain) fresh(t *testing.T, n int) (urls []string) {
	t.Helper()
	for range n {
		serial++
		urls = append(urls, p.repo(t, fmt.Sprintf("recv%d.git", serial), "update", refusing))
	}
	return urls
}

// pushRefused pushes to all URLs at once and returns when the last has been refused.
func (w *world) pushRefused(t *testing.T, src *town.App, urls []string) time.Duration {
	t.Helper()
	outputs := make([]bytes.Buffer, len(urls))
	var all sync.WaitGroup
	began := time.Now()
	for i, url := range urls {
		cmd := src.GitCommand("push", url, "HEAD:refs/heads/elsewhere")
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		all.Go(func() { _ = cmd.Run() })
	}
	all.Wait()
	d := time.Since(began)
	for i, url := range urls {
		if !strings.Contains(outputs[i].String(), "[remote rejected]") {
			t.Fatalf("push to %s was not refused as it should be:\n%s", url, &outputs[i])
		}
	}
	return d
}

// history is a git history being made, always the same one.
type history struct {
	bytes.Buffer
	random  *rand.Rand
	commits int
}

// history makes a work tree with a history, packed as a clone would be.
func (w *world) history(t *testing.T, fill func(*history)) *town.App {
	t.Helper()
	app := w.NewApp(t, "source")
	h := &history{random: rand.New(rand.NewPCG(1, 2))}
	fill(h)
	cmd := app.GitCommand("fast-import", "--quiet", "--force")
	cmd.Stdin = &h.Buffer
	run(t, cmd)
	app.Git("update-ref", "refs/heads/main", "refs/heads/made")
	app.Git("repack", "-adq")
	t.Logf("%s objects", strings.TrimSpace(countObjects(t, app)))
	return app
}

func countObjects(t *testing.T, app *town.App) string {
	out, err := exec.Command("sh", "-c", "git -C "+app.Dir+" rev-list --objects refs/heads/made | wc -l").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (h *history) commit() {
	h.commits++
	fmt.Fprintf(h, "commit refs/heads/made\ncommitter dev <dev@example.test> %d +0000\ndata 5\nmore\n\n", 1_700_000_000+h.commits)
}

func (h *history) file(path string, words int) {
	var text bytes.Buffer
	for i := range words {
		fmt.Fprintf(&text, "%x", h.random.Uint32N(1<<20))
		text.WriteByte(" \n"[i%8/7])
	}
	fmt.Fprintf(h, "M 100644 inline %s\ndata %d\n%s\n", path, text.Len(), &text)
}

func small(h *history) {
	for c := range 3 {
		h.commit()
		for f := range 22 {
			if c == 0 || f%7 == c {
				h.file(fmt.Sprintf("src/file%d.go", f), 300)
			}
		}
	}
}

// large makes half of the objects in a first commit, and the rest by changing a file a time.
func (h *history) large(objects int) {
	files := objects / 2
	path := func(i int) string { return fmt.Sprintf("d%02d/e%02d/f%02d.txt", i/1600, i/50%32, i%50) }
	h.commit()
	for i := range files {
		h.file(path(i), 150)
	}
	for range (objects - files - files/50) / 5 { // a file, its two folders, the root, the commit
		h.commit()
		h.file(path(h.random.IntN(files)), 150)
	}
}
