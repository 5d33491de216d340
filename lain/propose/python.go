package propose

import (
	"regexp"

	"lain.internal/lain/lain/fault"
)

// pythonVersion is the base's where the tree names none.
const pythonVersion = "3"

var pythonMinor = regexp.MustCompile(`^3\.[0-9]{1,3}`)

func (t tree) hasPython() bool { return t.first("requirements.txt", "pyproject.toml", "Pipfile") != "" }

func writePython(t tree, d *draft) error {
	version, err := t.read(".python-version")
	if err != nil {
		return err
	}
	d.base = "python:" + pythonVersion
	if v := pythonMinor.FindString(version); v != "" {
		d.base = "python:" + v
	}
	if err := t.pythonInstall(d); err != nil {
		return err
	}
	d.port = 8080
	if file := t.first("app.py", "main.py", "server.py"); file != "" {
		d.web = "python " + file
	}
	if d.web == "" && !t.has("Procfile") {
		return fault.New(fault.NotFound, "nothing here says how to start: no Procfile, no app.py, main.py or server.py").
			WithHint("Write a Procfile with a line like: web: gunicorn --bind 0.0.0.0:$PORT mysite.wsgi\nand do this again")
	}
	return nil
}

// pythonInstall fetches the packages: into the prepare image where a lock file says which, so that they are kept
// until it changes.
func (t tree) pythonInstall(d *draft) error {
	switch {
	case t.has("requirements.txt"):
		d.prepare = []string{"pip install --no-cache-dir -r requirements.txt"}
	case t.has("pyproject.toml"):
		d.build = []string{"pip install --no-cache-dir ."}
	default:
		return fault.New(fault.Invalid, "there is a Pipfile only, which pip cannot install").
			WithHint("Write a requirements.txt (pipenv requirements > requirements.txt), and do this again")
	}
	return nil
}
