package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The bounds of a lain.yaml. Real ones hold a few hundred values, six deep.
const (
	maxBytes  = 1 << 20 // of the file, and of all its text once aliases are expanded
	maxValues = 20_000  // once aliases are expanded
	maxDepth  = 32
)

// node is a YAML value with its place; aliases and merges are expanded, scalars have their YAML 1.1 type.
type node struct {
	place
	kind   kind
	text   string  // of a scalar: as written, without YAML's quotes
	number int64   // of an integer
	items  []*node // of a list
	pairs  []pair  // of a map, each key once, in the order written
}

type pair struct{ key, value *node }

// get is the value of a key, or nil.
func (n *node) get(key string) *node {
	for _, p := range n.pairs {
		if p.key.text == key {
			return p.value
		}
	}
	return nil
}

// scalar says whether n is a single value (null included).
func (n *node) scalar() bool { return n.kind != list && n.kind != dict }

// empty says whether Python would call the value false, which is how LAIN told "not written" from "written".
func (n *node) empty() bool {
	switch n.kind {
	case null:
		return true
	case boolean:
		return !truth[n.text]
	case integer:
		return n.number == 0
	}
	return n.text == "" && len(n.items) == 0 && len(n.pairs) == 0
}

// syntaxError is a file that is not YAML, or more of it than is taken.
type syntaxError struct {
	place
	sentence, hint string
}

func (e *syntaxError) Error() string { return e.sentence }

// grower makes nodes of a parsed document, counting what it makes.
type grower struct {
	values, bytes int
	open          map[*yaml.Node]bool // anchors being expanded
	notes         *notebook
}

// grow reads data as one YAML document. An error is a *syntaxError.
func grow(data []byte, notes *notebook) (*node, error) {
	if len(data) > maxBytes {
		return nil, &syntaxError{sentence: fmt.Sprintf("the file has %d bytes, and at most %d are read", len(data), maxBytes)}
	}
	if !utf8.Valid(data) {
		return nil, &syntaxError{sentence: "the file is not UTF-8 text", hint: "Save it as UTF-8."}
	}
	doc, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	if doc == nil || len(doc.Content) == 0 {
		return &node{kind: null}, nil
	}
	g := &grower{open: map[*yaml.Node]bool{}, notes: notes}
	return g.node(doc.Content[0], 0)
}

// parseYAML wraps the library, which still panics on its own inconsistencies: a pushed file must not end
// the server.
func parseYAML(data []byte) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, &syntaxError{sentence: "the file is not YAML"}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := dec.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, explain(err, data)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, &syntaxError{place: place{line: second.Line}, sentence: "the file holds a second document",
			hint: "Remove the line --- and what follows it."}
	case !errors.Is(err, io.EOF):
		return nil, explain(err, data)
	}
	return &first, nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// explain turns the library's message into a place and a sentence.
func explain(err error, data []byte) *syntaxError {
	m := yamlError.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0])
	if m == nil {
		return &syntaxError{sentence: "the file is not YAML"}
	}
	line, _ := strconv.Atoi(m[1])
	if name, ok := strings.CutPrefix(m[2], "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		before, _, _ := bytes.Cut(data, []byte("*"+name))
		return &syntaxError{place: place{line: 1 + bytes.Count(before, []byte("\n"))},
			sentence: "the alias *" + show(name) + " stands for nothing", hint: "Quote a value that begins with a star."}
	}
	if line == 0 || strings.HasPrefix(m[2], "did not find expected") {
		line++ // the library counts those from 0
	}
	e := &syntaxError{place: place{line: line}, sentence: "this is not YAML: " + clipBytes(m[2], 200)}
	switch lines := bytes.Split(data, []byte("\n")); {
	case line <= len(lines) && bytes.ContainsRune(lines[line-1], '\t'):
		e.hint = "YAML is indented with spaces, never with tabs."
	case strings.HasPrefix(m[2], "mapping values"):
		e.hint = "Look at the indentation, and quote a value that holds a colon followed by a space."
	case strings.HasPrefix(m[2], "did not find expected"):
		e.hint = "The mistake is in the block that begins here: look for wrong indentation or an open quote."
	}
	return e
}

func (g *grower) node(y *yaml.Node, depth int) (*node, error) {
	g.values++
	g.bytes += len(y.Value)
	at := place{y.Line, y.Column}
	switch {
	case g.values > maxValues || g.bytes > maxBytes:
		return nil, &syntaxError{place: at, sentence: fmt.Sprintf("with its aliases written out the file holds more than %d values or %d bytes", maxValues, maxBytes)}
	case depth > maxDepth:
		return nil, &syntaxError{place: at, sentence: fmt.Sprintf("values are nested more than %d deep", maxDepth)}
	}
	if y.Style&yaml.TaggedStyle != 0 && !plainTags[y.Tag] {
		return nil, &syntaxError{place: at, sentence: "the tag " + show(y.Tag) + " is not taken here", hint: "Remove it."}
	}
	switch y.Kind {
	case yaml.AliasNode:
		return g.alias(y, depth)
	case yaml.SequenceNode:
		return g.list(y, depth)
	case yaml.MappingNode:
		return g.dict(y, depth)
	default:
		return scalar(y), nil
	}
}

// alias expands *name. The copy stands where the alias stands; what it holds keeps its own place.
func (g *grower) alias(y *yaml.Node, depth int) (*node, error) {
	if y.Alias == nil || g.open[y.Alias] {
		return nil, &syntaxError{place: place{y.Line, y.Column}, sentence: fmt.Sprintf("the alias *%s stands for something that holds it", clipBytes(y.Value, 64))}
	}
	g.open[y.Alias] = true
	defer delete(g.open, y.Alias)
	n, err := g.node(y.Alias, depth+1)
	if err != nil {
		return nil, err
	}
	n.place = place{y.Line, y.Column}
	return n, nil
}

func (g *grower) list(y *yaml.Node, depth int) (*node, error) {
	n := &node{place: place{y.Line, y.Column}, kind: list}
	for _, c := range y.Content {
		item, err := g.node(c, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	return n, nil
}

// scalar types a value: what is quoted or tagged as text is text.
func scalar(y *yaml.Node) *node {
	n := &node{place: place{y.Line, y.Column}, kind: text, text: y.Value}
	tagged := y.Style&yaml.TaggedStyle != 0
	quoted := y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if tagged && y.Tag != "!!str" || !tagged && !quoted {
		n.kind, n.number = resolve(y.Value)
	}
	return n
}

// plainTags are taken; others are refused, as LAIN's safe loader did.
var plainTags = map[string]bool{"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true,
	"!!timestamp": true, "!!map": true, "!!seq": true}
