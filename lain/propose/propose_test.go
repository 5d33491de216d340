package propose

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// files makes a tree of name and content in turn.
func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

const start = `{"scripts":{"start":"node ."}}`

func TestFor(t *testing.T) {
	for name, c := range map[string]struct {
		files fstest.MapFS
		kind  string
	}{
		"go":            {files("go.mod", "module x\n\ngo 1.26.8\n", "main.go", "// Command x.\npackage main\n", "index.html", ""), ""},
		"go-cmd":        {files("go.mod", "module x\n", "x.go", "package x\n", "cmd/hello/main.go", "package main\n", "cmd/aide/a.go", "package main\n"), ""},
		"go-odd":        {files("go.mod", "module x\n", "gen.go", "//go:build ignore\n\npackage main\n", "x_test.go", "package main\n", "cmd/one/a.go", "package main\n", "cmd/lib/a.go", "package lib\n", "Dockerfile", ""), ""},
		"node":          {files("package.json", `{"scripts":{"start":"node .","build":"tsc","test":"jest"},"engines":{"node":">=22.1"}}`, "package-lock.json", "{}", "public/index.html", ""), ""},
		"node-plain":    {files("package.json", `{"main":"./lib","scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}`, "lib.js", ""), ""},
		"node-yarn":     {files("package.json", start, "yarn.lock", "", ".nvmrc", "v20\n"), ""},
		"node-pnpm":     {files("package.json", start, "pnpm-lock.yaml", ""), ""},
		"node-of-both":  {files("package.json", start, "requirements.txt", "", "app.py", ""), "node"},
		"python":        {files("requirements.txt", "flask\n", "app.py", "", ".python-version", "3.13.1\n"), ""},
		"python-proj":   {files("pyproject.toml", "", "main.py", ""), ""},
		"procfile":      {files("requirements.txt", "", "Procfile", "# procs\nweb: gunicorn --bind 0.0.0.0:$PORT site.wsgi\nrelease: python manage.py migrate\nmail: python mail.py \"a b\"\nBig_One: x\n"), ""},
		"procfile-env":  {files("requirements.txt", "", "Procfile", "web: DEBUG=1 python x.py\r\n"), ""},
		"static":        {files("index.html", "<p>", "style.css", ""), ""},
		"dockerfile":    {files("Dockerfile", "FROM x AS a\nEXPOSE 1\nFROM y\nexpose 3000/tcp 3001\nEXPOSE 53/udp\n"), ""},
		"dockerfile-as": {files("Dockerfile", "FROM x\n", "go.mod", "module x\n", "Procfile", "web: ./x serve\n"), "dockerfile"},
		"static-public": {files("public/index.html", "<p>", "Procfile", "not read"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := For(c.files, "hello", c.kind)
			if err != nil {
				t.Fatal(err)
			}
			if found := manifest.Check("lain.yaml", got.YAML); len(found) > 0 {
				t.Errorf("it has findings: %v", found)
			}
			golden(t, name, string(got.YAML)+notes(got.Notes))
		})
	}
}

// Words that YAML reads as something else stay words.
func TestWordsStayWords(t *testing.T) {
	for _, word := range []string{"yes", "no", "on", "off", "true", "null", "y"} {
		p, err := For(files("requirements.txt", "", "Procfile", "web: "+word), lain.AppName(word), "")
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		m, found := manifest.Parse("lain.yaml", p.YAML)
		if len(found) > 0 || m.AppName != lain.AppName(word) || !slices.Equal(m.Procs[0].Cmd, []string{word}) {
			t.Errorf("%s is read as %s, %q, %v", word, m.AppName, m.Procs[0].Cmd, found)
		}
	}
}

func notes(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "\n# " + strings.Join(list, "\n# ") + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".yaml")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s: %v\ngot\n%s\nwant\n%s", path, err, got, want)
	}
}

func TestForRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files      fstest.MapFS
		kind, says string
	}{
		"nothing":                  {files(), "", "nothing here tells what to propose"},
		"two kinds":                {files("go.mod", "", "package.json", start), "", "go, node"},
		"a kind that is not there": {files("go.mod", ""), "node", `of the kind "node"`},
		"a kind nobody knows":      {files("go.mod", ""), "cobol", `of the kind "cobol"`},
		"a library in Go":          {files("go.mod", "", "x.go", "package x"), "", "no main package"},
		"no start in Node":         {files("package.json", "{}"), "", "nothing of how to start"},
		"a start out of the tree":  {files("package.json", `{"main":"../x.js"}`), "", "nothing of how to start"},
		"no JSON":                  {files("package.json", "{"), "", "package.json cannot be read"},
		"no start in Python":       {files("requirements.txt", ""), "", "nothing here says how to start"},
		"a Pipfile":                {files("Pipfile", "", "app.py", ""), "", "Pipfile only"},
		"a Procfile without web":   {files("requirements.txt", "", "Procfile", "mail: x\n"), "", "has no web"},
		"a proc twice":             {files("requirements.txt", "", "Procfile", "web: x\na: x\na: y\n"), "", "it would say"},
		"a file too large":         {files("package.json", strings.Repeat(" ", maxFile+1)), "", "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := For(c.files, "hello", c.kind)
			if err == nil || !strings.Contains(err.Error(), c.says) || fault.Of(err).Kind == fault.Internal {
				t.Errorf("got %s, %v", got.YAML, err)
			}
		})
	}
}

// Whatever stands in the files, what is proposed is a manifest without findings.
func FuzzFor(f *testing.F) {
	for _, seed := range []string{"web: python app.py", "web: a: b", "web: 'x' \"y\" \\", "web: yes\nb: no", "web: x #y\nrelease: {{ x }}", "web: \x1b[2J", "web: é\xff"} {
		f.Add("hello", seed)
	}
	f.Fuzz(func(t *testing.T, name, procfile string) {
		app, err := lain.ParseAppName(name)
		if err != nil {
			return
		}
		p, err := For(files("requirements.txt", "", "Procfile", procfile), app, "")
		if err != nil {
			if fault.Of(err).Kind == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		if m, found := manifest.Parse("lain.yaml", p.YAML); len(found) > 0 || m.AppName != app {
			t.Fatalf("%s\n%v", p.YAML, found)
		}
	})
}
