package manifest

import (
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// image reads the reference of an image and keeps it as written.
func (r *reader) image(v *node, what string) string {
	s, ok := r.text(v, what)
	if !ok {
		return ""
	}
	s = strings.TrimSpace(s)
	if _, err := reference.ParseNormalizedNamed(s); err != nil {
		r.fail(v, imageHint(s), "%s is not an image reference: %s", what, show(s))
		return ""
	}
	return s
}

func imageHint(s string) string {
	name, _, _ := strings.Cut(s, "@")
	if lower := strings.ToLower(name); lower != name {
		if _, err := reference.ParseNormalizedNamed(lower); err == nil {
			return "The name of an image is in lower case. Try: " + lower
		}
	}
	return "Try: golang:1.26, or registry.example.com/team/base:1"
}

var argName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// buildArgs reads a list of K=V. LAIN took a V that begins with "$" from the environment of the developer's
// machine, which a server does not have.
func (r *reader) buildArgs(v *node, what string) []string {
	var args []string
	for _, item := range r.texts(v, what) {
		name, value, ok := strings.Cut(item.text, "=")
		switch {
		case !argName.MatchString(name) || !ok:
			r.fail(item, "Try: - VERSION=1", "an item of %s must be NAME=VALUE, and this is %s", what, show(item.text))
		case strings.HasPrefix(value, "$"):
			r.fail(item, "Write the value itself, or set it in a script of the build.",
				"%s takes %s from the local environment, and on the server there is none", what, show(name))
		default:
			args = append(args, item.text)
		}
	}
	return args
}
