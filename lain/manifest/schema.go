package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// shape is a piece of JSON Schema.
type shape map[string]any

const (
	appPattern    = `^[a-z]([a-z0-9-]{0,37}[a-z0-9])?$`
	argPattern    = `^[A-Za-z_][A-Za-z0-9_]{0,127}=([^$]|$)`
	secretPattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`
)

// The values that more than one key takes. A number or a truth value is text wherever text is wanted.
var (
	scalars  = shape{"type": []string{"string", "number", "boolean"}}
	scripts  = listOf(scalars)
	commands = either(shape{"type": "string"}, shape{"type": "array", "items": shape{"type": "string"}})
	truths   = either(shape{"type": "boolean"}, oneOf(slices.Sorted(maps.Keys(truth))...))
	times    = either(shape{"type": "integer", "minimum": 0}, word(`^\s*[0-9]`))
	sizes    = either(shape{"type": "integer", "minimum": minMemory}, word(`^[0-9.]+ *[kKmMgGtT]?([iI]?[bB])?$`))
	anyMap   = shape{"type": "object"}
)

func word(pattern string) shape    { return shape{"type": "string", "pattern": pattern} }
func oneOf(words ...string) shape  { return shape{"enum": words} }
func either(shapes ...shape) shape { return shape{"anyOf": shapes} }
func listOf(item shape) shape      { return shape{"type": "array", "items": either(item, nothing)} }
func oneOrMore(item shape) shape   { return either(item, listOf(item)) }
func mapOf(value shape) shape {
	return shape{"type": "object", "additionalProperties": either(value, nothing)}
}
func ref(in section) shape          { return shape{"$ref": "#/definitions/" + in.word()} }
func numbers(low, high int64) shape { return shape{"type": "integer", "minimum": low, "maximum": high} }

// word is the name of a section in a schema.
func (s section) word() string { return strings.TrimPrefix(string(s), "a ") }

// nothing is a key without a value, or one with a template in it.
var nothing = shape{"anyOf": []shape{{"type": "null"}, word(`\{\{`)}}

// Schema is lain.yaml as a JSON Schema (draft 7) for editors: what is written so is taken without a word but for
// keys that are not served yet. It is made of the table that the reader uses.
func Schema() []byte {
	definitions := shape{}
	for _, k := range keys {
		if _, have := definitions[k.in.word()]; !have && k.in != top {
			definitions[k.in.word()] = sectionShape(k.in)
		}
	}
	whole := sectionShape(top)
	whole["$schema"] = "http://json-schema.org/draft-07/schema#"
	whole["title"] = "lain.yaml"
	whole["definitions"] = definitions
	return pretty(whole)
}

// sectionShape is a map of known keys.
func sectionShape(in section) shape {
	properties, patterns, required, instead := shape{}, shape{}, []string{}, []shape{}
	var rest any = false
	for _, k := range keys {
		stem, wild := strings.CutSuffix(k.name, ".*")
		switch {
		case k.in != in:
			continue
		case k.name == "*":
			rest = k.shape()
		case wild:
			patterns["^"+stem+`\.`+strings.TrimPrefix(appPattern, "^")] = k.shape()
		default:
			properties[k.name] = k.shape()
		}
		switch {
		case k.instead != "":
			instead = []shape{{"required": []string{k.name}}, {"required": []string{k.instead}}}
		case k.required:
			required = append(required, k.name)
		}
	}
	s := sectionOf(properties, patterns, required, rest)
	if len(instead) > 0 {
		s["anyOf"] = instead
	}
	return s
}

func sectionOf(properties, patterns shape, required []string, rest any) shape {
	s := shape{"type": "object", "properties": properties, "additionalProperties": rest}
	if len(patterns) > 0 {
		s["patternProperties"] = patterns
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// shape is what a key takes, with what it says.
func (k known) shape() shape {
	about := k.about
	if k.later {
		about += " (not served yet)"
	}
	if k.required || len(k.takes) == 0 {
		s := maps.Clone(k.takes)
		if _, isRef := s["$ref"]; isRef { // draft 7 ignores what stands beside a $ref
			s = shape{"allOf": []shape{k.takes}}
		}
		s["description"] = about
		return s
	}
	return shape{"description": about, "anyOf": []shape{k.takes, nothing}}
}

// pretty is JSON for people, with a newline at its end. The value must be one that JSON has a form for.
func pretty(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic("manifest: no JSON of " + err.Error())
	}
	return []byte(b.String())
}
