package verbs

import (
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/lain"
)

func TestFill(t *testing.T) {
	for _, c := range []struct {
		words string
		app   lain.AppName
		named bool
		want  string
	}{
		{"logs -f -p web", "hello", false, "logs hello -f -p web"},
		{"logs", "hello", false, "logs hello"},
		{"logs hello -f", "hello", false, "logs hello -f"},
		{"logs hello -f", "hello", true, "logs hello hello -f"},
		{"logs other", "hello", false, "logs hello other"},
		{"logs other", "", false, "logs other"},
		{"runs attach r-42", "hello", false, "runs attach hello r-42"},
		{"runs", "hello", false, "runs hello"},
		{"config set KEY", "hello", false, "config set hello KEY"},
		{"config", "hello", false, "config"},
		{"apps", "hello", false, "apps"},
		{"apps create other", "hello", false, "apps create other"},
		{"keys add alice", "hello", false, "keys add alice"},
		{"conjure rabbit", "hello", false, "conjure rabbit"},
		{"", "hello", false, ""},
	} {
		words := strings.Fields(c.words)
		if got := strings.Join(Fill(words, c.app, c.named), " "); got != c.want {
			t.Errorf("Fill(%q, %q, %v) = %q", c.words, c.app, c.named, got)
		}
		if strings.Join(words, " ") != c.words {
			t.Errorf("Fill changed its argument to %q", words)
		}
	}
}

func TestInteractive(t *testing.T) {
	for words, want := range map[string]bool{
		"config set hello KEY": true, "config set hello KEY --stage": true, "config set hello --stage KEY": true,
		"config set hello": false, "config set hello A=- B=-": false, "config set hello --from-file -": false,
		"config set hello --help": false, "config get hello KEY": false, "logs hello": false, "": false,
		"enter hello web.1": true, "enter hello web.1 -- ls -l": true, "run hello": true, "run hello -- ls -l": true, "runs hello": false, "cp hello web.1:/x -": false,
	} {
		if got := Interactive(strings.Fields(words)); got != want {
			t.Errorf("Interactive(%q) = %v", words, got)
		}
	}
}

func TestNext(t *testing.T) {
	for words, want := range map[string][]string{
		"runs": {"attach", "cancel"}, "keys": {"add", "list", "rm"}, "logs": nil, "nothing": nil,
	} {
		if got := Next(strings.Fields(words)); !slices.Equal(got, want) {
			t.Errorf("Next(%q) = %q", words, got)
		}
	}
	if first := Next(nil); !slices.Contains(first, "config") || len(slices.Compact(slices.Sorted(slices.Values(first)))) != len(first) {
		t.Errorf("Next() = %q", first)
	}
}

func TestLine(t *testing.T) {
	for want, words := range map[string][]string{
		"":                         nil,
		"logs hello -n 100":        {"logs", "hello", "-n", "100"},
		"ban 'it'\\''s' ''":        {"ban", "it's", ""},
		"a 'b c' '$HOME' '`id`;x'": {"a", "b c", "$HOME", "`id`;x"},
		"'größe' '\"' '\\' '~'":    {"größe", `"`, `\`, "~"},
	} {
		if got := Line(words); got != want {
			t.Errorf("Line(%q) = %s, want %s", words, got, want)
		}
	}
}
