package manifest

import (
	"regexp"
	"strings"
	"time"

	"lain.internal/lain/lain"
)

// ContainerHealth is how an instance is asked whether it is healthy, where lain.yaml says more than a path.
type ContainerHealth struct {
	Cmd      string        // a line for the image's shell, healthy when it ends with 0; "": the proc's own check (HealthPath, or TCP)
	Off      bool          // it is never asked (cmd: none); Cmd is then ""
	Interval time.Duration // from one question to the next; 10 s where none is written
	Timeout  time.Duration // for an answer; 3 s where none is written
	Retries  int           // failures in a row that make it unhealthy; 3 where none is written
	Line     int
}

// LAIN's floors of a container check (deployd), and more than anybody needs.
const (
	minInterval, maxInterval = 10, 3600 // seconds
	minTimeout, maxTimeout   = 3, 3600  // seconds
	minRetries, maxRetries   = 3, 100
)

// containerHealth reads {cmd, options: {interval, timeout, retries}}.
func (r *reader) containerHealth(key, v *node, what string) *ContainerHealth {
	if v.empty() {
		return nil
	}
	h := &ContainerHealth{Interval: minInterval * time.Second, Timeout: minTimeout * time.Second, Retries: minRetries, Line: key.line}
	r.section(check, what, v, takers{
		"cmd": func(_, v *node) { h.Cmd = r.shellLine(v, what+".cmd") },
		"options": func(_, v *node) {
			r.section(options, what+".options", v, takers{
				"interval": func(_, v *node) { h.Interval = r.grace(v, what+".options.interval", minInterval, maxInterval) },
				"timeout":  func(_, v *node) { h.Timeout = r.grace(v, what+".options.timeout", minTimeout, maxTimeout) },
				"retries":  func(_, v *node) { h.Retries = r.tries(v, what+".options.retries") },
			})
		},
	})
	if h.Cmd == "none" {
		h.Cmd, h.Off = "", true
	}
	return h
}

func (r *reader) tries(v *node, what string) int {
	n, ok := r.whole(v, what)
	if !ok {
		return minRetries
	}
	return int(r.clamped(v, what, n, minRetries, maxRetries))
}

// shellLine reads one line of shell; white space around it (a folded text ends with a newline) is no part of it.
func (r *reader) shellLine(v *node, what string) string {
	if v.kind != text {
		r.fail(v, "Quote it.", "%s must be a line of shell, and this is %s", what, v.kind)
		return ""
	}
	s := strings.TrimSpace(v.text)
	if !r.clean(v, what, s) {
		return ""
	}
	return s
}

// health reads what LAIN did not have. What it says of the question is kept where container_healthcheck and
// healthcheck keep theirs, so only one of them may say it.
func (r *procReader) health(v *node, label string, p *Proc) {
	if v == nil {
		return
	}
	title := label + ".health"
	var command, interval *node
	r.section(health, title, v, takers{
		"deadline": func(_, v *node) { p.Deadline = r.time(v, title+".deadline", maxDeadline) },
		"interval": func(_, v *node) { interval = v },
		"command":  func(_, v *node) { command = v },
		"path":     func(k, v *node) { r.healthKey(k, v, title, p) },
	})
	if command == nil && interval == nil {
		return
	}
	if p.ContainerHealth != nil {
		r.fail(v, "Write one of the two.", "%s says what container_healthcheck says already", title)
		return
	}
	c := &ContainerHealth{Interval: minInterval * time.Second, Timeout: minTimeout * time.Second, Retries: minRetries, Line: v.line}
	if interval != nil {
		c.Interval = r.time(interval, title+".interval", maxInterval)
	}
	if command != nil {
		c.Cmd = r.shellLine(command, title+".command")
	}
	if c.Cmd != "" && p.HealthPath != "" {
		r.fail(command, "Write one of the two.", "%s is asked by path already, so command has no place", label)
	}
	p.ContainerHealth = c
}

// healthKey reads health.path, which is healthcheck for any proc with a port.
func (r *procReader) healthKey(k, v *node, title string, p *Proc) {
	s := r.healthPath(v, title+".path")
	switch {
	case s != "" && p.HealthPath != "" && p.HealthPath != s:
		r.fail(k, "Write one of the two.", "%s.path says something else than healthcheck", title)
	case s != "" && p.Type != lain.Web && len(p.Exposed) == 0:
		r.fail(k, "Try: port: 8080", "%s.path needs a port to be asked on", title)
	case s != "":
		p.HealthPath = s
	}
}

// time reads a duration from 1 s to a limit in seconds; 0 after an error.
func (r *reader) time(v *node, what string, limit int64) time.Duration {
	n, ok := r.seconds(v, what)
	if ok && (n < 1 || n > limit) {
		r.fail(v, "Try: "+lastWord(what)+": 60s", "%s must be from 1 to %d seconds", what, limit)
		return 0
	}
	return time.Duration(n) * time.Second
}

var healthPattern = regexp.MustCompile(`^/[A-Za-z0-9._~/?&=%+,:;@!*()-]{0,255}$`)

func (r *reader) healthPath(v *node, what string) string {
	if v.empty() {
		return ""
	}
	s, ok := r.text(v, what)
	if !ok {
		return ""
	}
	if !strings.HasPrefix(s, "/") {
		s = "/" + s
		r.warn(v, "%s begins with /: %s is used", what, show(s))
	}
	if !healthPattern.MatchString(s) {
		r.fail(v, "Try: healthcheck: /ping", "%s must be the path of a URL, and this is %s", what, show(s))
		return ""
	}
	return s
}
