package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// How much of what a container said is kept as evidence.
const (
	tailLines   = 30
	longestLine = 1024 // bytes
)

// evidence is what could be found out about the container of a failed task; each part may be missing.
type evidence struct {
	container *engine.Container
	exitCode  int // as the task says, where there is no container
	tail      []string
}

// failureOf puts the verdict and what was found into words for the person who pushed. It is pure.
func failureOf(want lain.ProcWant, v verdict, e evidence) lain.Failure {
	f := lain.Failure{Proc: want.Spec.Name, Instance: v.task.Slot, Memory: memoryLimit(want.Spec)}
	for _, line := range e.tail {
		f.LogTail = append(f.LogTail, clip(line))
	}
	if e.container != nil {
		f.OOM, f.LastProbe = e.container.OOMKilled, clip(oneLine(e.container.LastProbe))
	}
	v.words = clip(v.words)
	if code, ended := e.exit(v); ended {
		f.ExitCode = &code
		f.Signal = signalName(code)
	}
	f.Sentence = sentence(want.Spec, v, f)
	f.Hint = hint(want.Spec, v, f)
	return f
}

// clip keeps a record small, whatever a program prints.
func clip(s string) string {
	if len(s) <= longestLine {
		return s
	}
	return strings.ToValidUTF8(s[:longestLine], "") + "…"
}

func memoryLimit(p lain.ProcSpec) int64 { return limits(p, 0).MemoryBytes }

// exit is how the container ended, if it did.
func (e evidence) exit(v verdict) (code int, ended bool) {
	if v.cause != causeEnded && v.cause != causeSick {
		return 0, false
	}
	if e.container != nil {
		return e.container.ExitCode, !e.container.Running
	}
	return e.exitCode, true
}

// signalName follows the shells' custom: 128 + n is the end by signal n.
func signalName(code int) string {
	if code <= 128 || code > 128+64 {
		return ""
	}
	return unix.SignalName(unix.Signal(code - 128))
}

func sentence(p lain.ProcSpec, v verdict, f lain.Failure) string {
	switch {
	case p.Type == lain.Oneshot && v.cause == causeEnded:
		return fmt.Sprintf("%s %s", p.Name, end(f))
	case v.cause == causeOverdue:
		return fmt.Sprintf("%s did not end within %s", p.Name, short(v.after))
	case v.cause == causeHalted:
		return fmt.Sprintf("%s was stopped on the engine before its end", p.Name)
	case v.cause == causeLost:
		return fmt.Sprintf("what became of %s is not known, the engine has lost it", p.Name)
	}
	switch v.cause {
	case causeImage:
		return fmt.Sprintf("the image of %s cannot be pulled: %s", p.Name, v.words)
	case causeRefused:
		return fmt.Sprintf("the engine does not start %s: %s", p.Name, v.words)
	case causeNoNode:
		return fmt.Sprintf("no node can run %s: %s", p.Name, v.words)
	case causeLeftover:
		return fmt.Sprintf("older instances of %s do not go away after %s", p.Name, short(v.after))
	case causeSick:
		return fmt.Sprintf("%s was healthy and then was not (%s)", p.Name, times(v.times))
	case causeEnded:
		return fmt.Sprintf("%s %s (%s)", p.Name, end(f), times(v.times))
	}
	if p.Checked() {
		return fmt.Sprintf("%s is not healthy after %s", p.Name, short(v.after))
	}
	return fmt.Sprintf("%s does not stay up: after %s not all %d instances run", p.Name, short(v.after), p.Instances)
}

func end(f lain.Failure) string {
	switch {
	case f.OOM:
		return fmt.Sprintf("used more than its %s of memory and was killed", units.BytesSize(float64(f.Memory)))
	case f.Signal != "":
		return "was ended by " + f.Signal
	case f.ExitCode != nil:
		return fmt.Sprintf("ended with exit code %d", *f.ExitCode)
	}
	return "ended"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// short is 30s or 1m30s, without the "0s" that Go ends whole minutes with.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// hint names the key of lain.yaml that would help.
func hint(p lain.ProcSpec, v verdict, f lain.Failure) string {
	switch {
	case f.OOM:
		return fmt.Sprintf("memory: %s is the limit; raise it", units.BytesSize(float64(f.Memory)))
	case v.cause == causeEnded && f.ExitCode != nil && (*f.ExitCode == 126 || *f.ExitCode == 127):
		return "cmd: the command was not found in the image, or may not be run"
	case v.cause == causeLate && p.Port > 0 && strings.Contains(f.LastProbe, "refused"):
		return fmt.Sprintf("port: nothing listens on port %d; let the program listen on $PORT, or set the port it has", p.Port)
	case v.cause == causeLate && p.Checked():
		return "health.deadline: gives it longer to become healthy; setup_time: is when that begins"
	case v.cause == causeLate:
		return "setup_time: an instance counts when it has run for that long"
	}
	return ""
}
