package manifest

import (
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lain.internal/lain/lain"
)

// UseService names what an application uses of another one.
type UseService struct {
	App      string // that offers them
	Services []string
	Line     int
}

// UseResource asks for an instance of a template application.
type UseResource struct {
	App      string // the template
	Services []string
	Context  []Setting // the values for the template
	Line     int
}

// Setting is a key whose meaning is another's affair. Value is nil, a bool, an int64, a float64, a string
// (dates too, as written), or a []any or map[string]any of these.
type Setting struct {
	Name  string
	Value any
	Line  int
}

func (r *reader) useServices(v *node) []UseService {
	if v.kind != dict {
		r.warn(v, "use_services must be a map of applications, and this is %s: it is ignored", v.kind)
		return nil
	}
	var uses []UseService
	for _, p := range v.pairs {
		use := UseService{App: p.key.text, Line: p.key.line}
		for _, item := range r.texts(p.value, "use_services."+show(p.key.text)) {
			use.Services = append(use.Services, item.text)
		}
		uses = append(uses, use)
	}
	return uses
}

func (r *reader) useResources(v *node) []UseResource {
	if v.kind != dict {
		r.warn(v, "use_resources must be a map of applications, and this is %s: it is ignored", v.kind)
		return nil
	}
	var uses []UseResource
	for _, p := range v.pairs {
		if p.value.kind != dict || p.value.get("services") == nil {
			r.fail(p.key, "Try: services: [mysql-master]", "use_resources.%s has no services", show(p.key.text))
			continue
		}
		uses = append(uses, r.useResource(p))
	}
	return uses
}

func (r *reader) useResource(p pair) UseResource {
	use := UseResource{App: p.key.text, Line: p.key.line}
	for _, q := range p.value.pairs {
		if q.key.text != "services" {
			use.Context = append(use.Context, Setting{Name: q.key.text, Value: q.value.plain(), Line: q.key.line})
			continue
		}
		for _, item := range r.texts(q.value, "services") {
			use.Services = append(use.Services, item.text)
		}
	}
	return use
}

// settings reads a map whose keys are not ours.
func (r *reader) settings(v *node, what string) []Setting {
	if v.kind != dict {
		r.warn(v, "%s must be a map, and this is %s: it is ignored", what, v.kind)
		return nil
	}
	var settings []Setting
	for _, p := range v.pairs {
		settings = append(settings, Setting{Name: p.key.text, Value: p.value.plain(), Line: p.key.line})
	}
	return settings
}

// plain is a value as Setting describes it.
func (n *node) plain() any {
	switch n.kind {
	case null:
		return nil
	case boolean:
		return truth[n.text]
	case integer:
		return n.number
	case fraction:
		f, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
		if err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) { // JSON has no word for them
			return f
		}
	case list:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.plain()
		}
		return items
	case dict:
		m := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			m[p.key.text] = p.value.plain()
		}
		return m
	}
	return n.text
}

// BuildSecret is a secret that the scripts of a build see as a file in memory.
type BuildSecret struct {
	Name   string
	Target string // absolute and clean; /run/secrets/NAME where none is written
	Line   int
}

// buildSecrets reads names, and maps of a name and a target.
func (r *reader) buildSecrets(v *node) []BuildSecret {
	var secrets []BuildSecret
	for _, item := range r.list(v, "build.secrets") {
		s := BuildSecret{Line: item.line}
		switch item.kind {
		case null:
			continue
		case dict:
			r.section(secret, "build.secrets", item, takers{
				"name":   func(_, v *node) { s.Name, _ = r.text(v, "build.secrets.name") },
				"target": func(_, v *node) { s.Target = r.secretTarget(v) },
			})
		default:
			s.Name, _ = r.text(item, "an item of build.secrets")
		}
		if !secretName.MatchString(s.Name) {
			r.fail(item, "Try: - npm-token", "an item of build.secrets has no name of letters, digits and ._-: %s", show(s.Name))
			continue
		}
		if s.Target == "" {
			s.Target = string(lain.BuildSecretPath(s.Name))
		}
		if slices.ContainsFunc(secrets, func(o BuildSecret) bool { return o.Name == s.Name || o.Target == s.Target }) {
			r.fail(item, "", "build.secrets names %s, or its file, twice", show(s.Name))
			continue
		}
		secrets = append(secrets, s)
	}
	return secrets
}

var secretName = regexp.MustCompile(secretPattern)

func (r *reader) secretTarget(v *node) string {
	s, ok := r.text(v, "build.secrets.target")
	if p, err := lain.ParseSecretPath(s); ok && err == nil && path.IsAbs(s) {
		return string(p)
	}
	r.fail(v, "Try: target: /root/.npmrc", "build.secrets.target must be the absolute path of a file, and this is %s", show(s))
	return ""
}
