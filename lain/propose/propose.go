package propose

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
)

// Kinds are what can be proposed for, in the order they are looked for.
var Kinds = []string{"go", "node", "python", "static", "dockerfile"}

// maxFile bounds what is read of any file of the tree, in bytes.
const maxFile = 1 << 20

// Proposal is a lain.yaml and what there is to say about it.
type Proposal struct {
	Kind  string   // one of Kinds
	YAML  []byte   // the file
	Notes []string // a sentence each, for a person
}

// languages know one kind each: whether a tree is of it, and what to write then.
var languages = map[string]struct {
	has   func(tree) bool
	write func(tree, *draft) error
}{
	"go":     {tree.hasGo, writeGo},
	"node":   {tree.hasNode, writeNode},
	"python": {tree.hasPython, writePython},
	"static": {tree.hasStatic, writeStatic},

	"dockerfile": {tree.hasDockerfile, writeDockerfile},
}

// alone are kinds that count only where no other is found: the others have pages and Dockerfiles, too.
var alone = map[string]bool{"static": true, "dockerfile": true}

// For proposes a lain.yaml for the files of an application. kind is one of Kinds, or empty: then the tree must be of
// one kind alone. Its error is a *fault.Fault.
func For(files fs.FS, app lain.AppName, kind string) (Proposal, error) {
	t := tree{files}
	kind, err := t.kind(kind)
	if err != nil {
		return Proposal{}, err
	}
	d := &draft{app: app}
	if err := languages[kind].write(t, d); err != nil {
		return Proposal{}, err
	}
	if kind != "static" {
		if err := d.takeProcfile(t); err != nil {
			return Proposal{}, err
		}
	}
	if t.hasDockerfile() && kind != "dockerfile" {
		d.note("The Dockerfile is not used: the commands of lain.yaml build the image. To build with it: --as dockerfile")
	}
	yaml := d.yaml()
	if found := manifest.Check("lain.yaml", yaml); len(found) > 0 {
		return Proposal{}, fault.New(fault.Invalid, "no lain.yaml can be proposed for this tree: it would say: %s", found[0].Sentence)
	}
	return Proposal{Kind: kind, YAML: yaml, Notes: d.notes}, nil
}

// kind is what the tree is of, or what was asked for.
func (t tree) kind(asked string) (string, error) {
	if asked != "" {
		if l, ok := languages[asked]; !ok || !l.has(t) {
			return "", fault.New(fault.Invalid, "nothing here is of the kind %q", asked).WithHint("Kinds: %s", strings.Join(Kinds, ", "))
		}
		return asked, nil
	}
	var found []string
	for _, k := range Kinds {
		if languages[k].has(t) && (!alone[k] || len(found) == 0) {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fault.New(fault.Invalid, "this tree could be of several kinds: %s", strings.Join(found, ", ")).WithHint("Say which, for instance: --as %s", found[0])
	}
	return "", fault.New(fault.NotFound, "nothing here tells what to propose: no go.mod, package.json, requirements.txt, pyproject.toml, index.html or Dockerfile").
		WithHint("Write lain.yaml by hand; the smallest one has appname, build.base and web.cmd")
}

// tree are the files of an application.
type tree struct{ fs.FS }

func (t tree) has(name string) bool {
	info, err := fs.Stat(t, name)
	return err == nil && info.Mode().IsRegular()
}

// first is the first of several files that is there, or empty.
func (t tree) first(names ...string) string {
	for _, n := range names {
		if t.has(n) {
			return n
		}
	}
	return ""
}

// read is a file's text, or empty where there is no such file.
func (t tree) read(name string) (string, error) {
	f, err := t.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fault.New(fault.Failed, "%s cannot be read: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	if err != nil {
		return "", fault.New(fault.Failed, "%s cannot be read: %w", name, err)
	}
	return string(data), nil
}
