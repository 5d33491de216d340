// Package lain_test keeps the map of the rooms: which package may import which (docs/design.md, "Rooms").
package lain_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "lain.internal/lain/"

// layers, from the ground up. A package belongs to the longest prefix that matches; it may import packages of
// lower layers only, and of its own layer only where siblings allows it.
var layers = [][]string{
	{"failpoint", "atomicfile", "supervise", "pktline", "helper"},
	{"lain"},
	{"state", "engine"},
	{"access", "gitserver", "builder", "runtime", "router", "vaultbridge", "doctor", "archive"},
	{"pipeline", "hooks/receive", "api"},
	{"cmd"},
}

// outside are trees that import nothing of ours but their own, and that nothing of ours imports.
var outside = []string{"acceptance", "examples", "tools"}

// siblings are rooms whose packages use one another; everything else in a layer stands alone.
var siblings = map[string]string{
	"lain":        "the nouns are one vocabulary",
	"state":       "the store, its loop and its test help are one room",
	"gitserver":   "the front door uses its own parser, hook and repositories",
	"builder":     "the builder uses its own graph, source and registry",
	"router":      "the router uses its own rendering and process",
	"vaultbridge": "the room runs its tests against its own Vault",
	"pipeline":    "the pipeline uses its own plan and run logs",
	"archive":     "the archive uses its own form",
}

// doors are the packages of rooms that the layer above may use beside the room's root.
var doors = []string{"gitserver/repo", "builder/registry", "runtime/rollout", "runtime/network", "runtime/disk", "runtime/diary", "state/reconcile", "state/statetest",
	"pipeline/plan", "gitserver/hook", "vaultbridge/local", "vaultbridge/vaulttest"}

// poor are commands that must stay small: neither the store nor the engine is in them, not even by another's
// import.
var poor = []string{"cmd/lain", "cmd/lain-helper", "cmd/lain-hook"}

type pkg struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	GoFiles      []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,TestImports,XTestImports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, path := range p.Imports {
			to, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if why := forbidden(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
	}
}

// forbidden says why from may not import to, or nothing.
func forbidden(from, to string) string {
	if in(from, outside) != in(to, outside) {
		return "what lies outside the rooms imports nothing of ours and is imported by nothing"
	}
	if in(from, outside) != "" {
		return ""
	}
	a, b := layerOf(from), layerOf(to)
	switch {
	case a < 0 || b < 0:
		return "a package is not on the map; give it a layer in map_test.go"
	case b > a:
		return "imports go down only"
	case a == b && room(from) != room(to):
		return "rooms of one layer do not know each other; they meet in records, or in the layer above"
	case a == b && siblings[room(from)] == "" && from != to:
		return "the packages of this room do not use each other"
	case b < a && strings.Count(to, "/") > 0 && layerOf(to) >= 2 && in(to, []string{"hooks/receive"}) == "" && !slices.Contains(doors, to):
		return "only a room's door may be used from above (doors in map_test.go)"
	}
	return ""
}

func layerOf(path string) int {
	for i, layer := range layers {
		if in(path, layer) != "" {
			return i
		}
	}
	return -1
}

// in returns the prefix of list that path lies below.
func in(path string, list []string) string {
	for _, prefix := range list {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return prefix
		}
	}
	return ""
}

func room(path string) string {
	for _, layer := range layers {
		if r := in(path, layer); r != "" {
			return r
		}
	}
	return path
}

func TestTheMapForbids(t *testing.T) {
	for _, edge := range [][2]string{
		{"state", "pipeline"}, {"router", "builder"}, {"pipeline", "api"}, {"lain/manifest", "state"},
		{"api", "router/conf"}, {"acceptance/lab", "lain"}, {"runtime/rollout", "runtime/network"},
		{"failpoint", "lain"}, {"somewhere/new", "lain"},
	} {
		if forbidden(edge[0], edge[1]) == "" {
			t.Errorf("%s may import %s", edge[0], edge[1])
		}
	}
}

func TestSmallCommandsStaySmall(t *testing.T) {
	for _, cmd := range poor {
		out, err := exec.Command("go", "list", "-deps", "./"+cmd).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for path := range strings.Lines(string(out)) {
			to := strings.TrimPrefix(strings.TrimSpace(path), module)
			if in(to, layers[2]) != "" {
				t.Errorf("%s holds %s: neither the store nor the engine belongs in it", cmd, to)
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && !documented(t, p) {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func documented(t *testing.T, p pkg) bool {
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if f != nil && f.Doc != nil && !onlyDirective(f.Doc) {
			return true
		}
	}
	return false
}

func onlyDirective(doc *ast.CommentGroup) bool { return strings.TrimSpace(doc.Text()) == "" }
