//go:build acceptance

package stories

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/acceptance/town"
)

// hostileWords are what no verb should stumble over, wherever it stands. They are said in single quotes.
var hostileWords = []string{"../../../etc/passwd", "-oProxyCommand=id", "--no-such-flag=1", "$(id)", "`id`", "a;id", "a|id", "%s%n%x", "{{.Node.ID}}",
	"../", "", " ", "é\u200b", strings.Repeat("x", 5000), "1e999", "-1", "99999999999999999999", "web.99999999999999999999", "v0.0", "r--1.", "A=b", "@/etc/passwd"}

// valueFlag is a flag that takes a value, as a verb's help shows it.
var valueFlag = regexp.MustCompile(`--[a-z-]+ (string|int)\b`)

// Every verb is given hostile words in the place of each of its arguments and of the value of each of its flags. It says
// what is wrong in a sentence, or, where the word is one that it may take, does what it says; it never fails by our mistake,
// shows nothing raw, and leaves the server as it was.
func TestHostileArguments_OfEveryVerb(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, commit := serving(t, "arguments")
	before := names(t, tw)
	c := admin(t, tw)
	told := 0
	for _, v := range town.JSON[[]struct{ Name, Args string }](t, tw, "help") {
		flags := valueFlag.FindAllString(tw.Verb(t, "help "+v.Name), -1)
		for _, words := range hostileCalls(v.Name, v.Args, flags, app.Name) {
			if told++; told%40 == 0 { // sessions of a connection are limited
				c = admin(t, tw)
			}
			code, out := asked(t, c, words)
			if code == 70 || code == 255 || strings.ContainsAny(out, "\x1b\x00") || strings.Contains(out, "our mistake") || strings.Contains(out, "panic") {
				t.Errorf("%.200q: exit %d\n%.1500q", words, code, out)
			}
			if code != 0 && code < 126 && (out == "" || len(out) > 3000) { // from 126 on it is what the command says
				t.Errorf("%.200q: exit %d and %d bytes: %.300q", words, code, len(out), out)
			}
		}
	}
	if after := names(t, tw); !slices.Equal(before, after) {
		t.Errorf("there were the applications %v, and there are %v", before, after)
	}
	app.Truth(commit, "one")
}

// names are those of all applications of this story.
func names(t *testing.T, tw *town.Town) (all []string) {
	t.Helper()
	for _, a := range town.JSON[[]struct{ Name string }](t, tw, "apps") {
		if strings.HasPrefix(a.Name, "arguments") || !strings.ContainsAny(a.Name, "0123456789") {
			all = append(all, a.Name)
		}
	}
	return all
}

// hostileCalls are the verb with each hostile word in the place of each argument and flag's value in turn; the others are plain ones.
func hostileCalls(verb, args string, flags []string, app string) (calls []string) {
	plain := map[string]string{"APP": app, "[APP]": app, "FINGERPRINT": "SHA256:none", "VERSION": "v9", "RUN": "r-99", "INSTANCE": "web.1", "PATH": "conf/key",
		"KEY": "NAME", "SOURCE": "web.1:/etc/none", "TARGET": "-", "PROC": "web", "COMMAND": "true", "PERSON": "nobody", "VERB": "logs"}
	fields := strings.Fields(args)
	for at := range fields {
		for _, word := range hostileWords {
			line := []string{verb}
			for i, f := range fields {
				name, _, _ := strings.Cut(strings.Trim(f, "[]."), "[")
				switch {
				case i == at:
					line = append(line, "'"+word+"'")
				case i < at || !strings.HasPrefix(f, "["):
					line = append(line, plain[name])
				}
			}
			if verb == "run" && at == 1 && len(calls) > len(hostileWords)+2 {
				continue // each is a container of its own: some are enough
			}
			calls = append(calls, strings.Join(line, " "))
		}
	}
	whole := verb
	for _, f := range fields {
		if name := strings.Trim(f, "[]."); !strings.HasPrefix(f, "[") {
			whole += " " + plain[name]
		}
	}
	for _, flag := range append(flags, "--json bool") {
		for _, word := range hostileWords {
			name, _, _ := strings.Cut(flag, " ")
			calls = append(calls, whole+" "+name+"='"+word+"'")
		}
	}
	return calls
}
