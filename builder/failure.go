package builder

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	gwpb "github.com/moby/buildkit/frontend/gateway/pb"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain/fault"
)

// solveFault says why a solve failed: the context ended it, a step of the person's did, or something of ours.
func (j *Job) solveFault(ctx context.Context, stage string, w *watcher, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeLimit):
		return fault.Hide(fault.Failed, err, "%s took longer than %s and was stopped", stage, j.builder.options.TimeLimit).
			WithHint("A step may be waiting for input or for a network that is not there.")
	case cause != nil:
		return cause
	}
	if said, ok := errors.AsType[*fault.Fault](err); ok {
		return said
	}
	if w.failedStep == "" {
		return fault.Hide(fault.Unavailable, err, "%s could not run %s: %s", j.builder.backend, stage, oneLine(reason(err), 120)).
			WithHint("Push again; if it stays, the server's log has the details.")
	}
	code, exited := exitCode(err)
	if line, ok := j.dockerfileLine(w.failedStep); ok {
		return j.dockerfile.At(line, j.instructionFault(w.failedStep, code, exited, err))
	}
	if !exited {
		return fault.Hide(fault.Failed, err, "%s failed: %s", w.failedStep, oneLine(reason(err), 120))
	}
	return j.request.Manifest.At(j.line(w.failedStep), j.stepFault(w.failedStep, w.failedEntry, code, err))
}

// dockerfileLine is where a step of the Dockerfile is written.
func (j *Job) dockerfileLine(step string) (int, bool) {
	if j.graph.Dockerfile == nil {
		return 0, false
	}
	line, ok := j.graph.Dockerfile.Steps[step]
	return line, ok
}

func (j *Job) instructionFault(step string, code int, exited bool, err error) *fault.Fault {
	if !exited {
		return fault.Hide(fault.Failed, err, "%s failed: %s", oneLine(step, 100), oneLine(reason(err), 120))
	}
	return fault.Hide(fault.Failed, err, "%s failed with exit code %d", oneLine(step, 160), code).WithHint("%s", hint(code, "that it runs in"))
}

func (j *Job) stepFault(step string, entry, code int, err error) *fault.Fault {
	where, what := step, ""
	if entry >= 0 {
		where += "[" + strconv.Itoa(entry) + "]"
		what = j.graph.Entry(step, entry)
	}
	sentence := where + " failed with exit code " + strconv.Itoa(code)
	if what != "" {
		sentence += ": " + oneLine(what, 190-len(sentence))
	}
	return fault.Hide(fault.Failed, err, "%s", sentence).WithHint("%s", hint(code, j.imageName()))
}

// imageName is the image that scripts run in, for a person.
func (j *Job) imageName() string {
	if b := j.request.Manifest.Build; b.Base != "" {
		return b.Base
	}
	return "of the Dockerfile"
}

// hint says what to do about an exit code (POSIX shell, section 2.8.2).
func hint(code int, base string) string {
	switch code {
	case 126:
		return "A file was found but cannot be run: git update-index --chmod=+x FILE, then push again."
	case 127:
		return "A command was not found: is it in the image " + oneLine(base, 80) + "?"
	case 137:
		return "A process was killed, most likely for want of memory on the build machine."
	default:
		return "Its output is above. Correct it and push again."
	}
}

// line is where a step's section begins in lain.yaml.
func (j *Job) line(step string) int {
	m := j.request.Manifest
	section, _, _ := strings.Cut(step, ".")
	switch {
	case strings.HasPrefix(step, "build.prepare") && m.Build.Prepare != nil:
		return m.Build.Prepare.Line
	case section == "test" && m.Test != nil:
		return m.Test.Line
	case section == "release" && m.Release != nil:
		return m.Release.Line
	default:
		return m.Build.Line
	}
}

var exitPattern = regexp.MustCompile(`exit code: (\d+)`)

// exitCode finds how a step ended. Engine 20.10 says it in words only, at the end of the message, behind the
// step's text.
func exitCode(err error) (int, bool) {
	var exit *gwpb.ExitError
	if errors.As(err, &exit) {
		return int(exit.ExitCode), true
	}
	all := exitPattern.FindAllStringSubmatch(err.Error(), -1)
	if len(all) == 0 {
		return 0, false
	}
	code, convErr := strconv.Atoi(all[len(all)-1][1])
	return code, convErr == nil
}

// reason is the end of BuildKit's message, behind the wrapping and the text of the step.
func reason(err error) string {
	text := err.Error()
	for _, before := range []string{"desc = ", "]: "} {
		if i := strings.LastIndex(text, before); i >= 0 {
			text = text[i+len(before):]
		}
	}
	return text
}

// baseFault says why an image to begin from cannot be had.
func baseFault(ctx context.Context, key, name string, err error, at func(*fault.Fault) error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	name = oneLine(name, 100)
	if errors.Is(err, engine.ErrNoImage) {
		return at(fault.Hide(fault.Invalid, err, "%s names the image %s, which is neither on the server nor in a registry it may read", key, name))
	}
	return at(fault.Hide(fault.Unavailable, err, "%s names the image %s, which could not be pulled: %s", key, name, oneLine(err.Error(), 200)))
}

func pushFault(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fault.Hide(fault.Unavailable, err, "the image could not be pushed to the registry").
		WithHint("Push again: nothing that was built is lost. The server's log has the details.")
}

// oneLine is the first line of a text, at most n bytes of it, fit for a sentence.
func oneLine(text string, n int) string {
	first, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	first = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(first, "?"))
	if len(first) > n {
		first, more = strings.ToValidUTF8(first[:max(n, 0)], ""), true
	}
	if more {
		first = strings.TrimRight(first, " ") + "…"
	}
	return first
}
