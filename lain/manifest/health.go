package manifest

import (
	"regexp"
	"strings"
	"time"
)

// ContainerHealth is how an instance is asked whether it is healthy, where lain.yaml says more than a path.
type ContainerHealth struct {
	Cmd      string        // a line for the image's shell, healthy when it ends with 0; "": the proc's own check (HealthPath, or TCP)
	Off      bool          // it is never asked (cmd: none); Cmd is then ""
	Interval time.Duration // from one question to the next; at least 10 s, which is the default
	Timeout  time.Duration // for an answer; at least 3 s, which is the default
	Retries  int           // failures in a row that make it unhealthy; at least 3, which is the default
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

// health reads what LAIN did not have: health: {deadline: 30s}.
func (r *reader) health(v *node, label string) (deadline time.Duration) {
	title := label + ".health"
	r.section(health, title, v, takers{"deadline": func(_, v *node) {
		n, ok := r.seconds(v, title+".deadline")
		if ok && (n < 1 || n > maxDeadline) {
			r.fail(v, "Try: deadline: 60s", "%s.deadline must be from 1 to %d seconds", title, maxDeadline)
			return
		}
		deadline = time.Duration(n) * time.Second
	}})
	return deadline
}

var healthPattern = regexp.MustCompile(`^/[A-Za-z0-9._~/?&=%+,:;@!*()-]{0,255}$`)

func (r *reader) healthPath(v *node, what string) string {
	s, ok := r.text(v, what)
	if !ok || s == "" {
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
