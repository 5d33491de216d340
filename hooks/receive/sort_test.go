package receive

import (
	"strings"
	"testing"

	"lain.internal/lain/gitserver"
	"lain.internal/lain/lain"
)

const (
	zero = lain.Commit("0000000000000000000000000000000000000000")
	one  = lain.Commit("1111111111111111111111111111111111111111")
)

func push(refs ...string) []gitserver.Command {
	var commands []gitserver.Command
	for _, r := range refs {
		c := gitserver.Command{Old: zero, New: one, Ref: strings.TrimPrefix(r, "-")}
		if strings.HasPrefix(r, "-") {
			c.Old, c.New = one, zero
		}
		commands = append(commands, c)
	}
	return commands
}

func TestSort(t *testing.T) {
	old := lain.App{Name: "hello", DeployBranch: "main"}
	for _, c := range []struct {
		name   string
		app    lain.App
		exists bool
		atomic bool
		refs   []string
		want   []verdict
		reason string // of the first refusal
	}{
		{"the deploy branch", old, true, false, []string{"refs/heads/main"}, []verdict{deploy}, ""},
		{"a first push of main", lain.App{}, false, false, []string{"refs/heads/main"}, []verdict{deploy}, ""},
		{"a first push of master", lain.App{}, false, false, []string{"refs/heads/master"}, []verdict{deploy}, ""},
		{"a first push of both takes main", lain.App{}, false, false, []string{"refs/heads/master", "refs/heads/main"}, []verdict{refuse, deploy}, "only main deploys; to deploy this branch: git push lain master:main"},
		{"another branch", old, true, false, []string{"refs/heads/feature"}, []verdict{refuse}, "only main deploys; to deploy this branch: git push lain feature:main"},
		{"master where main deploys", old, true, false, []string{"refs/heads/master"}, []verdict{refuse}, "only main deploys"},
		{"deleting what deploys", old, true, false, []string{"-refs/heads/main"}, []verdict{refuse}, "main is what deploys and can't be deleted"},
		{"deleting another branch", old, true, false, []string{"-refs/heads/x"}, []verdict{refuse}, "there is no such branch here"},
		{"a tag", old, true, false, []string{"refs/tags/v1"}, []verdict{keep}, ""},
		{"a tag beside main", old, true, false, []string{"refs/tags/v1", "refs/heads/main"}, []verdict{keep, deploy}, ""},
		{"a tag alone, of nothing", lain.App{}, false, false, []string{"refs/tags/v1"}, []verdict{refuse}, "a tag alone makes no application"},
		{"a tag with a first main", lain.App{}, false, false, []string{"refs/tags/v1", "refs/heads/main"}, []verdict{keep, deploy}, ""},
		{"notes", old, true, false, []string{"refs/notes/commits"}, []verdict{refuse}, "only the branch main and tags are taken"},
		{"our own refs", old, true, false, []string{"refs/releases/v1"}, []verdict{refuse}, "only the branch main and tags are taken"},
		{"atomic with main alone", old, true, true, []string{"refs/heads/main"}, []verdict{deploy}, ""},
		{"atomic with main and a tag", old, true, true, []string{"refs/heads/main", "refs/tags/v1"}, []verdict{refuse, refuse}, "an atomic push can't join main with other refs"},
		{"atomic without main", old, true, true, []string{"refs/tags/v1", "refs/tags/v2"}, []verdict{keep, keep}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reason := ""
			for i, s := range sort(c.app, c.exists, c.atomic, push(c.refs...)) {
				if s.Verdict != c.want[i] {
					t.Errorf("%s is %s, want %s", s.Ref, s.Verdict, c.want[i])
				}
				if s.Verdict == refuse && reason == "" {
					reason = s.Reason
				}
			}
			if !strings.HasPrefix(reason, c.reason) || c.reason == "" && reason != "" {
				t.Errorf("reason %q, want %q", reason, c.reason)
			}
		})
	}
}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"detach", "supersede", "build-only", "detach"})
	if err != nil || !o.Detach || !o.Supersede || !o.BuildOnly {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"", "Detach", "detach=1", "ci.skip", "detach\n", "x;env=1", "\x1b[31m"} {
		if _, err := parseOptions([]string{bad}); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{"detach", "build-only", "", "a=b;c", "\x00", strings.Repeat("x", 70000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parseOptions([]string{s})
		if err == nil && o == (Options{}) {
			t.Errorf("%q is taken and does nothing", s)
		}
		if err != nil && (len(err.Error()) > 200 || strings.ContainsAny(err.Error(), "\n\r\x1b\x00")) {
			t.Errorf("%q makes the refusal %q", s, err)
		}
	})
}
