//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"
)

// lines measures the way of a build's output to the pusher's terminal. The plain side runs the same program
// as a hook of plain git behind sshd, without any build around it: what git's own channel can do.
func lines(t *testing.T, w *world) []*table {
	app := w.NewApp(t, "lines")
	program := chatter(t)
	if err := os.WriteFile(app.Dir+"/chatter", program, 0o755); err != nil {
		t.Fatal(err)
	}
	out := &table{title: "A build's lines on the terminal", head: []string{"", "lain", "a hook of sshd + git", "ratio", "aim"}}

	const paced = 250_000
	w.plain.write(t, "chatter", string(program), 0o755)
	talk := func(args string) (ours, plain func(int) heard) {
		w.plain.repo(t, "lines.git", "post-receive", "#!/bin/sh\nexec "+w.plain.path("chatter")+" "+args+"\n")
		ours = func(i int) heard {
			app.Manifest("")
			app.Write("lain.yaml", "appname: "+app.Name+"\nbuild:\n  base: lain/testapp:1\n  script: [./chatter "+args+"]\nweb:\n  cmd: /bin/testapp\n  port: 8080\n")
			app.Change(fmt.Sprintf("%s %d %d", args, i, time.Now().UnixNano()))
			return listen(t, app.GitCommand("push", "-o", "build-only", "lain", "main"))
		}
		plain = func(i int) heard {
			app.Change(fmt.Sprintf("plain %s %d", args, i))
			return listen(t, app.GitCommand("push", w.plain.url("lines.git"), "main"))
		}
		return ours, plain
	}

	ours, plain := talk(fmt.Sprintf("-n %d -rate 50000", paced))
	var p50, p99 [2]sample
	for i := range w.n {
		for side, f := range []func(int) heard{ours, plain} {
			h := f(i)
			h.complete(t, paced)
			p50[side], p99[side] = append(p50[side], h.late.at(0.5)), append(p99[side], h.late.at(0.99))
		}
	}
	for side := range 2 {
		slices.Sort(p50[side])
		slices.Sort(p99[side])
	}
	out.add("half of the lines at 50 000 a second within", p50[0], p50[1], against(p50[0], p50[1]), "-")
	out.add("99 % of the lines at 50 000 a second within", p99[0], p99[1], against(p99[0], p99[1]), "150 ms")

	const many = 1_000_000
	for _, c := range []struct{ name, args, aim string }{
		{"a million lines at 150 000 a second: arrive, a second", "-rate 150000", "100000"},
		{"a million lines as fast as they are taken: arrive, a second", "", "-"},
	} {
		ours, plain := talk(fmt.Sprintf("-n %d %s", many, c.args))
		var speed, lost [2][]int
		for i := range w.n {
			for side, f := range []func(int) heard{ours, plain} {
				h := f(i)
				speed[side] = append(speed[side], int(float64(h.lines)/h.span.Seconds()))
				lost[side] = append(lost[side], many-h.lines)
			}
		}
		out.add(c.name, spread(speed[0]), spread(speed[1]), fmt.Sprintf("%.2f", float64(middle(speed[0]))/float64(middle(speed[1]))), c.aim)
		out.add("… of them lost", spread(lost[0]), spread(lost[1]), "-", "0")
	}
	return []*table{out}
}

// middle sorts and takes the median.
func middle(n []int) int {
	slices.Sort(n)
	return n[len(n)/2]
}

func spread(n []int) string { return fmt.Sprintf("%d (%d … %d)", middle(n), n[0], n[len(n)-1]) }

// chatter builds the program that talks.
func chatter(t *testing.T) []byte {
	t.Helper()
	path := t.TempDir() + "/chatter"
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, "./chatter")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	run(t, cmd)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// heard is what came of a program that talks.
type heard struct {
	lines int
	late  sample        // each line, from its writing to its arrival
	span  time.Duration // from the first line's arrival to the last's
	rest  []byte        // of the output, its end
}

func (h heard) complete(t *testing.T, n int) {
	t.Helper()
	if h.lines != n {
		t.Fatalf("%d lines arrived, %d were written\n%s", h.lines, n, h.rest)
	}
}

// listen runs a push and reads its terminal output through a pipe.
func listen(t *testing.T, cmd *exec.Cmd) heard {
	t.Helper()
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = wr, wr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	h := take(r)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, h.rest)
	}
	slices.Sort(h.late)
	return h
}

func take(r io.Reader) (h heard) {
	buf, part := make([]byte, 256<<10), []byte(nil)
	var first, last time.Time
	for {
		n, err := r.Read(buf)
		now := time.Now()
		part = append(part, buf[:n]...)
		for {
			line, after, whole := bytes.Cut(part, []byte("\n"))
			if !whole {
				break
			}
			part = after
			if stamp, ok := stampOf(line); ok {
				h.lines++
				h.late = append(h.late, now.Sub(stamp))
				if first.IsZero() {
					first = now
				}
				last = now
			} else {
				h.rest = append(append(h.rest, line...), '\n')
			}
		}
		part = bytes.Clone(part)
		if err != nil {
			h.span = last.Sub(first)
			return h
		}
	}
}

func stampOf(line []byte) (time.Time, bool) {
	i := bytes.IndexByte(line, '@')
	if i < 0 || !bytes.Contains(line, []byte(" line ")) {
		return time.Time{}, false
	}
	digits, _, _ := bytes.Cut(line[i+1:], []byte(" "))
	nanos, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Unix(0, nanos), err == nil
}
