package conf

import (
	"fmt"
	"strings"
	"testing"

	"lain.internal/lain/lain"
)

// FuzzRender hands hostile values to Render. What comes out has to read back as exactly the server, the
// location and the upstream that were asked for, whatever the values were.
func FuzzRender(f *testing.F) {
	f.Add("hello", "web", "hello.lain.localhost", "/api/", "10.0.0.1:80")
	f.Add("hello", "web", `a";} server {`, "/", "10.0.0.1:80")
	f.Add("hello", "web", "a.org", "/x/;}location /y/", "10.0.0.1:80")
	f.Add("hello", "web", "a.org", "/$request_uri/", "10.0.0.1:80")
	f.Add("hello", "web", "a.org", `/\"/`, "10.0.0.1:80 backup")
	f.Add("hello", "web", "a.org\nb.org", "/", "unix:/run/docker.sock")
	f.Add("he}llo", "we{b", "*.org", "/~/", "[::1%;}]:80")
	f.Fuzz(func(t *testing.T, app, proc, host, path, address string) {
		model := frame(App{Name: lain.AppName(app),
			Routes:    []lain.Route{{Host: host, Path: path, Proc: lain.ProcName(proc), HTTPSOnly: true}},
			Endpoints: map[lain.ProcName][]string{lain.ProcName(proc): {address}}})
		model.HTTPSPort = 8443
		got, err := Render(model)
		if err != nil {
			return
		}
		words, err := tokens(string(got.Text))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, words, "server_name", "_", host)
		if path == "/" {
			expect(t, words, "location", "/", "/", "@lain_again", "=", "/")
		} else {
			expect(t, words, "location", "/", "/", path, "@lain_again", "=", "/")
		}
		expect(t, words, "if", "($lain_plain", "($lain_plain", "($lain_again")
		if n := strings.Count(string(got.Text), quote("https://"+host+":8443$request_uri")+"; }\n"); n != 2 {
			t.Errorf("%d redirects lead to %s", n, host)
		}
		expect(t, words, "upstream", app+"."+proc)
		canonical, _ := CheckAddress(address)
		expect(t, words, "server", "{", canonical, "{", "{")
	})
}

// expect compares the words that follow each occurrence of a directive.
func expect(t *testing.T, words []string, directive string, want ...string) {
	t.Helper()
	var got []string
	for i, word := range words[:len(words)-1] {
		if word == directive && (i == 0 || strings.Contains(";{}", words[i-1])) {
			got = append(got, words[i+1])
		}
	}
	if directive == "server" { // the order of blocks and lines is not the point
		if len(got) != len(want) {
			t.Errorf("server: got %q, want %q", got, want)
		}
		return
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %q, want %q", directive, got, want)
	}
}

// tokens reads nginx's syntax: words, quoted words, and ; { } on their own.
func tokens(text string) ([]string, error) {
	var words []string
	depth := 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\n':
			i++
		case c == '#':
			i += strings.IndexByte(text[i:], '\n')
		case c == ';' || c == '{' || c == '}':
			depth += map[byte]int{'{': 1, '}': -1}[c]
			words = append(words, string(c))
			i++
		case c == '"' || c == '\'':
			word, n, err := quoted(text[i:])
			if err != nil {
				return nil, err
			}
			words, i = append(words, word), i+n
		default:
			n := strings.IndexAny(text[i:], " \n;{\"")
			words, i = append(words, text[i:i+n]), i+n
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("blocks are not balanced: %d", depth)
	}
	return words, nil
}

func quoted(text string) (word string, n int, err error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case text[0]:
			return b.String(), i + 1, nil
		case '\\':
			i++
		}
		if i < len(text) {
			b.WriteByte(text[i])
		}
	}
	return "", 0, fmt.Errorf("a quote is not closed: %.40q", text)
}
