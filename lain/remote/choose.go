package remote

import (
	"fmt"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// Remote is a remote of a git repository, whatever it leads to.
type Remote struct {
	Name string
	URL  string // that a push would use
}

// Want is what a person said about where to go.
type Want struct {
	Remote string // the name of a remote; any if empty
	Host   string // a host instead of a remote, as ParseHost reads it
	App    string // instead of the remote's
	Any    bool   // no application is needed, so remotes that lead to one host are as good as one
}

// Target is where to go.
type Target struct {
	Host Host
	App  lain.AppName // empty with Want.Host and without Want.App, and wherever Want.Any let several remotes be one
}

// List reads what "git remote -v" prints.
func List(out string) []Remote {
	var all []Remote
	for line := range strings.Lines(out) {
		name, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		url, push := strings.CutSuffix(rest, " (push)")
		if ok && push {
			all = append(all, Remote{Name: name, URL: url})
		}
	}
	return all
}

// Choose finds the one remote that is meant. Where it could be several, or none is there, the error says what to add.
func Choose(all []Remote, w Want) (Target, error) {
	app, err := wantedApp(w.App)
	if err != nil {
		return Target{}, err
	}
	if w.Host != "" {
		host, err := ParseHost(w.Host)
		if err != nil {
			return Target{}, fault.New(fault.Invalid, "%w", err).WithHint("For instance: --host lain, --host ssh://lain@HOST:2222")
		}
		return Target{Host: host, App: app}, nil
	}
	t, err := fromRemotes(all, w)
	if app != "" {
		t.App = app
	}
	return t, err
}

func wantedApp(s string) (lain.AppName, error) {
	if s == "" {
		return "", nil
	}
	app, err := lain.ParseAppName(s)
	if err != nil {
		return "", fault.New(fault.Invalid, "%w", err)
	}
	return app, nil
}

func fromRemotes(all []Remote, w Want) (Target, error) {
	if w.Remote != "" {
		return named(all, w.Remote)
	}
	found := Lains(all)
	switch {
	case len(found) == 0:
		return Target{}, fault.New(fault.NotFound, "no git remote here leads to a Lain").
			WithHint("Make one: lain create, or git remote add lain lain:APP\nOr say where: --host lain -a APP")
	case len(found) == 1:
		return target(found[0]), nil
	}
	return together(found, w.Any || w.App != "")
}

func named(all []Remote, name string) (Target, error) {
	for _, r := range all {
		if r.Name != name {
			continue
		}
		host, app, err := ParseURL(r.URL)
		if err != nil {
			return Target{}, fault.New(fault.Invalid, "the remote %s does not lead to a Lain: %w", name, err)
		}
		return Target{Host: host, App: app}, nil
	}
	return Target{}, fault.New(fault.NotFound, "there is no git remote %q here", name).WithHint("%s", choices(Lains(all)))
}

// Lains are the remotes that lead to a Lain.
func Lains(all []Remote) []Remote {
	var found []Remote
	for _, r := range all {
		if _, _, err := ParseURL(r.URL); err == nil {
			found = append(found, r)
		}
	}
	return found
}

func target(r Remote) Target {
	host, app, _ := ParseURL(r.URL) // it is one of Lains
	return Target{Host: host, App: app}
}

// together takes several remotes for one where they lead to the same place. anyApp lets their applications differ.
func together(found []Remote, anyApp bool) (Target, error) {
	first := target(found[0])
	for _, r := range found[1:] {
		t := target(r)
		if t.Host != first.Host || t.App != first.App && !anyApp {
			return Target{}, fault.New(fault.Invalid, "%d git remotes here lead to a Lain, and none is named", len(found)).
				WithHint("%s", choices(found))
		}
		if t.App != first.App {
			first.App = ""
		}
	}
	return first, nil
}

// choices are remotes to choose from, one a line.
func choices(found []Remote) string {
	if len(found) == 0 {
		return "No remote here leads to a Lain. Make one: lain create, or git remote add lain lain:APP"
	}
	lines := []string{"Name one with -r NAME, or in LAIN_REMOTE:"}
	for _, r := range found {
		lines = append(lines, fmt.Sprintf("  -r %s   %s", r.Name, r.URL))
	}
	return strings.Join(lines, "\n")
}
