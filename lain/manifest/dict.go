package manifest

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// dict reads a map: the last of equal keys wins, with a warning, and "<<" merges below what is written.
func (g *grower) dict(y *yaml.Node, depth int) (*node, error) {
	n := &node{place: place{y.Line, y.Column}, kind: dict}
	index := map[string]int{}
	var merges []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		p, err := g.pair(y.Content[i], y.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if isMerge(y.Content[i]) {
			merges = append(merges, p.value)
			continue
		}
		if at, twice := index[p.key.text]; twice {
			g.notes.add(Warning, p.key.place, fmt.Sprintf("%s is written twice, and this one counts: the other is on line %d",
				show(p.key.text), n.pairs[at].key.line), "")
			n.pairs[at] = p
			continue
		}
		index[p.key.text] = len(n.pairs)
		n.pairs = append(n.pairs, p)
	}
	for _, m := range slices.Backward(merges) { // of several the last wins, as in PyYAML
		if err := n.merge(m, index); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.Tag == "!!merge" }

func (g *grower) pair(key, value *yaml.Node, depth int) (pair, error) {
	k, err := g.key(key, depth)
	if err != nil {
		return pair{}, err
	}
	v, err := g.node(value, depth)
	return pair{k, v}, err
}

func (g *grower) key(y *yaml.Node, depth int) (*node, error) {
	if isMerge(y) {
		return &node{place: place{y.Line, y.Column}, kind: text, text: y.Value}, nil
	}
	k, err := g.node(y, depth)
	if err == nil && !k.scalar() {
		err = &syntaxError{place: k.place, sentence: "a key must be a word, and this is " + string(k.kind)}
	}
	return k, err
}

// merge adds the keys of a map, or of a list of maps, that n does not have. The first of a list wins.
func (n *node) merge(m *node, index map[string]int) error {
	maps := []*node{m}
	if m.kind == list {
		maps = m.items
	}
	for _, d := range maps {
		if d.kind != dict {
			return &syntaxError{place: d.place, sentence: "<< takes a map or a list of maps, and this is " + string(d.kind)}
		}
		for _, p := range d.pairs {
			if _, have := index[p.key.text]; !have {
				index[p.key.text] = len(n.pairs)
				n.pairs = append(n.pairs, p)
			}
		}
	}
	return nil
}
