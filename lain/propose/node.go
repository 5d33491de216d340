package propose

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"lain.internal/lain/lain/fault"
)

// nodeVersion is the base's where the tree names none.
const nodeVersion = "24"

var firstNumber = regexp.MustCompile(`[0-9]+`)

// nodePackage is what is read of package.json.
type nodePackage struct {
	Main    string            `json:"main"`
	Scripts map[string]string `json:"scripts"`
	Engines map[string]string `json:"engines"`
}

// nodeInstallers say by its lock file which installer a tree wants, and how it is told to keep to the file.
var nodeInstallers = []struct{ lock, install, run string }{
	{"package-lock.json", "npm ci", "npm run"},
	{"npm-shrinkwrap.json", "npm ci", "npm run"},
	{"yarn.lock", "yarn install --frozen-lockfile", "yarn run"},
	{"pnpm-lock.yaml", "npm install -g pnpm && pnpm install --frozen-lockfile", "pnpm run"},
}

func (t tree) hasNode() bool { return t.has("package.json") }

func writeNode(t tree, d *draft) error {
	text, err := t.read("package.json")
	if err != nil {
		return err
	}
	var p nodePackage
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return fault.New(fault.Invalid, "package.json cannot be read: %w", err)
	}
	if d.base, err = t.nodeBase(p); err != nil {
		return err
	}
	t.nodeScripts(p, d)
	d.port = 8080
	d.web = t.nodeStart(p)
	if d.web == "" && !t.has("Procfile") {
		return fault.New(fault.NotFound, "package.json says nothing of how to start: no scripts.start, no main that is there, no server.js or index.js").
			WithHint("Add a start script to package.json, and do this again")
	}
	return nil
}

func (t tree) nodeBase(p nodePackage) (string, error) {
	wanted := p.Engines["node"]
	for _, file := range []string{".nvmrc", ".node-version"} {
		text, err := t.read(file)
		if err != nil {
			return "", err
		}
		if wanted == "" {
			wanted = text
		}
	}
	if n := firstNumber.FindString(wanted); n != "" && len(n) <= 3 {
		return "node:" + n, nil
	}
	return "node:" + nodeVersion, nil
}

// nodeScripts fetch, build and test. With a lock file the modules are fetched once, until it changes.
func (t tree) nodeScripts(p nodePackage, d *draft) {
	run := "npm run"
	d.build = []string{"npm install"}
	for _, i := range nodeInstallers {
		if t.has(i.lock) {
			d.prepare, d.keep, d.build, run = []string{i.install}, []string{"node_modules"}, nil, i.run
			break
		}
	}
	if p.Scripts["build"] != "" {
		d.build = append(d.build, run+" build")
	}
	if test := p.Scripts["test"]; test != "" && !strings.Contains(test, "no test specified") {
		d.test = []string{run + " test"}
	}
	if strings.HasPrefix(run, "pnpm") {
		d.note("prepare installs the newest pnpm: name a version there if it matters.")
	}
}

func (t tree) nodeStart(p nodePackage) string {
	if p.Scripts["start"] != "" {
		return "npm start"
	}
	main := path.Clean(p.Main) // node itself looks for what stands behind it
	if p.Main != "" && t.first(main, main+".js", main+"/index.js") != "" {
		return "node " + main
	}
	if file := t.first("server.js", "index.js"); file != "" {
		return "node " + file
	}
	return ""
}
