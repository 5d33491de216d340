package command

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

func TestParseTakesGitsServices(t *testing.T) {
	for raw, want := range map[string]Command{
		"git-receive-pack 'hello'":      {Service: ReceivePack, App: "hello"},
		"git-receive-pack '/hello'":     {Service: ReceivePack, App: "hello"},
		"git-receive-pack '/hello.git'": {Service: ReceivePack, App: "hello"},
		"git-receive-pack hello":        {Service: ReceivePack, App: "hello"},
		`git-receive-pack "hello"`:      {Service: ReceivePack, App: "hello"},
		"git receive-pack 'hello'":      {Service: ReceivePack, App: "hello"},
		"git-upload-pack 'a-1.git'":     {Service: UploadPack, App: "a-1"},
		"git upload-pack 'a-1.git'":     {Service: UploadPack, App: "a-1"},
	} {
		got, err := Parse(raw)
		if err != nil || got.Service != want.Service || got.App != want.App || got.Args != nil {
			t.Errorf("Parse(%q) = %+v, %v", raw, got, err)
		}
	}
}

func TestParseRefusesTraps(t *testing.T) {
	for _, raw := range []string{
		"git-receive-pack", "git-receive-pack ", "git-receive-pack ''", "git-receive-pack  hello",
		"git-receive-pack 'hello' 'other'", "git-receive-pack hello;id", "git-receive-pack 'hello';id",
		"git-receive-pack '../hello'", "git-receive-pack '/etc/passwd'", "git-receive-pack '//hello'",
		"git-receive-pack '~/hello'", "git-receive-pack '~root/hello'", "git-receive-pack '-hello'",
		"git-receive-pack --stateless-rpc 'hello'", "git-receive-pack '--help'", "git-receive-pack 'hello.git.git'",
		"git-receive-pack '$(id)'", "git-receive-pack '`id`'", "git-receive-pack 'hel'lo'", "git-receive-pack 'Hello'",
		"git-receive-pack 'hello\n'", "git-receive-pack 'hello'\x00", "git-receive-pack 'lain'", "git-receive-pack 'service'",
		"git-receive-pack '" + strings.Repeat("a", 40) + "'", "git-upload-pack 'a/b'", "git-upload-pack 'a b'",
		"git-upload-pack '.git'", "git-upload-pack 'ä'", "git-upload-pack \"a'", "git receive-pack",
		"git-lfs-authenticate hello.git upload", "git-lfs-transfer hello download", "git-upload-archive 'hello'",
		"git upload-archive hello", "git-shell", "scp -t /tmp", "rsync --server .", "\x1b[31m", "apps\tlist", "a\xffb",
		"apps 'x", `apps "x`, `apps \`, strings.Repeat("a", MaxBytes+1), strings.Repeat("a ", MaxArgs+1),
	} {
		got, err := Parse(raw)
		var f *fault.Fault
		if err == nil || !errors.As(err, &f) || f.Kind != fault.Invalid {
			t.Errorf("Parse(%.60q) = %+v, %v; want a refusal", raw, got, err)
		}
	}
}

func TestSplitQuotesAsPOSIX(t *testing.T) {
	for line, want := range map[string][]string{
		"":                                   nil,
		"   ":                                nil,
		"apps list":                          {"apps", "list"},
		"  apps   list ":                     {"apps", "list"},
		`a 'b c' "d e" f\ g`:                 {"a", "b c", "d e", "f g"},
		`a '' ""`:                            {"a", "", ""},
		`a'b'"c"d`:                           {"abcd"},
		`'a\b' "a\b" "a\"b\\\$"`:             {`a\b`, `a\b`, `a"b\$`},
		`run -- sh -c 'echo $HOME; ls | wc'`: {"run", "--", "sh", "-c", "echo $HOME; ls | wc"},
		"$HOME * ~ `id` a;b|c&":              {"$HOME", "*", "~", "`id`", "a;b|c&"},
		`it'\''s`:                            nil,
		`'it'\''s' größe`:                    {"it's", "größe"},
	} {
		got, err := Split(line)
		if line == `it'\''s` {
			if err == nil {
				t.Errorf("Split(%q) = %q; want an error", line, got)
			}
			continue
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Split(%q) = %q, %v; want %q", line, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"git-receive-pack 'hello'", "git upload-pack /a.git", `apps create "x y"`, `a\`, "'", `"\"`, "git-receive-pack ''",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := Parse(raw)
		if err != nil {
			return
		}
		if got.Service != Verb {
			if app, err := lain.ParseAppName(string(got.App)); err != nil || app != got.App {
				t.Fatalf("Parse(%q) let through the name %q", raw, got.App)
			}
			return
		}
		again, err := Split(quote(got.Args))
		if err != nil || !slices.Equal(again, got.Args) {
			t.Fatalf("%q does not survive quoting: %q, %v", got.Args, again, err)
		}
	})
}

func quote(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}
