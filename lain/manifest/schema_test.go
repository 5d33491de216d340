package manifest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is taken without a word fits the schema; so editors never mark a good file.
func TestSchema_takesWhatIsTakenWithoutAWord(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.yaml")
	if dir := os.Getenv(corpus); dir != "" {
		more, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		files = append(files, more...)
	}
	fitting := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := Check(file, data)
		if len(found.Only(Error)) > 0 || len(found.Only(Warning)) > 0 {
			continue
		}
		fitting++
		if bad := misfit(t, data); bad != "" {
			t.Errorf("%s: %s", file, bad)
		}
	}
	if fitting < 10 {
		t.Errorf("only %d files were tried", fitting)
	}
}

// What is an error, or a key that nobody knows, is marked.
func TestSchema_marks(t *testing.T) {
	cases := map[string]string{
		"no build":           "appname: hello\nweb:\n",
		"no appname":         "build: {base: golang}\nweb:\n",
		"no base":            "appname: hello\nbuild: {script: [x]}\n",
		"a bad name":         "appname: Hello\nbuild: {base: golang}\n",
		"an unknown key":     head + "webs:\n",
		"an unknown inner":   head + "web: {prot: 80}\n",
		"a bad proc name":    head + "web.A_b:\n",
		"two dots":           head + "web.a.b:\n",
		"a number too big":   head + "web: {cpu: 9}\n",
		"a number too small": head + "web: {num_instances: -1}\n",
		"a word for a list":  head + "web: {secret_files: x}\n",
		"a map for a word":   head + "web: {image: {a: b}}\n",
		"a list for a map":   head + "web: [a]\n",
		"a size":             head + "web: {memory: lots}\n",
		"a time":             head + "web: {setup_time: soon}\n",
		"an absolute log":    head + "web: {logs: [/a]}\n",
		"a filter":           head + "web: {filters: [\"group==a\"]}\n",
		"a label":            head + "web: {labels: [a]}\n",
		"a cloud type":       head + "web: {cloud_volumes: {type: some}}\n",
		"a relative workdir": head + "web: {workdir: app}\n",
		"a build argument":   "appname: hello\nbuild: {base: golang, build_arg: [A=$B]}\n",
		"a backup's age":     head + "web: {volumes: [{/a: {backup_full: {expire: 2 weeks}}}]}\n",
		"a number in cmd":    head + "web: {cmd: [1]}\n",
		"no services":        head + "use_resources: {a: {memory: 1g}}\n",
		"no src":             head + "release: {copy: [{dest: /a}], dest_base: b}\n",
	}
	for name, data := range cases {
		if found := Check("lain.yaml", []byte(data)); len(found) == 0 {
			t.Errorf("%s: nothing is found", name)
		}
		if misfit(t, []byte(data)) == "" {
			t.Errorf("%s fits the schema", name)
		}
	}
}

func TestSchema_isStableAndSaysWhatIsNotServed(t *testing.T) {
	text := string(Schema())
	if text != string(Schema()) || !json.Valid([]byte(text)) {
		t.Error("the schema is not the same twice, or no JSON")
	}
	for _, k := range keys {
		if k.about == "" || strings.HasSuffix(k.about, ".") || !strings.Contains(text, `"description": "`+strings.ReplaceAll(k.about, `"`, `\"`)) {
			t.Errorf("%s of %s says %q", k.name, k.in, k.about)
		}
	}
	if !strings.Contains(text, "(not served yet)") {
		t.Error("nothing is said of keys that are not served")
	}
}

// misfit says where a file does not fit the schema, or "".
func misfit(t *testing.T, data []byte) string {
	t.Helper()
	root, err := grow(data, &notebook{src: newSource("lain.yaml", data), count: map[Severity]int{}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(root.plain())
	if err != nil {
		t.Fatal(err)
	}
	var value any
	var whole map[string]any
	if json.Unmarshal(text, &value) != nil || json.Unmarshal(Schema(), &whole) != nil {
		t.Fatal("no JSON")
	}
	return (&validator{t: t, whole: whole}).check(whole, value, "")
}

// validator knows as much of JSON Schema as Schema uses; a keyword it does not know fails the test.
type validator struct {
	t     *testing.T
	whole map[string]any
}

// check is the place and the reason of the first misfit, or "".
func (v *validator) check(schema map[string]any, value any, at string) string {
	for keyword, arg := range schema {
		if bad := v.keyword(keyword, arg, schema, value, at); bad != "" {
			return bad
		}
	}
	return ""
}

func (v *validator) keyword(keyword string, arg any, schema map[string]any, value any, at string) string {
	no := func(ok bool) string {
		if ok {
			return ""
		}
		return fmt.Sprintf("%s: %v is not %s %v", at, value, keyword, arg)
	}
	text, isText := value.(string)
	number, isNumber := value.(float64)
	items, _ := value.([]any)
	object, isObject := value.(map[string]any)
	switch keyword {
	case "$schema", "title", "description", "definitions", "properties", "patternProperties":
		return "" // the last two count with additionalProperties, which always stands beside them
	case "$ref":
		name := strings.TrimPrefix(arg.(string), "#/definitions/")
		definition, ok := v.whole["definitions"].(map[string]any)[name].(map[string]any)
		if !ok {
			v.t.Fatalf("there is no definition %s", name)
		}
		return v.check(definition, value, at)
	case "type":
		return no(slices.ContainsFunc(many(arg), func(typ any) bool { return isType(typ.(string), value) }))
	case "enum":
		return no(slices.Contains(arg.([]any), value))
	case "pattern":
		return no(!isText || regexp.MustCompile(arg.(string)).MatchString(text))
	case "minimum":
		return no(!isNumber || number >= arg.(float64))
	case "maximum":
		return no(!isNumber || number <= arg.(float64))
	case "required":
		return no(!isObject || !slices.ContainsFunc(arg.([]any), func(name any) bool { _, have := object[name.(string)]; return !have }))
	case "items":
		return first(items, func(i int, item any) string { return v.check(arg.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i)) })
	case "anyOf":
		return no(slices.ContainsFunc(arg.([]any), func(s any) bool { return v.check(s.(map[string]any), value, at) == "" }))
	case "allOf":
		return first(arg.([]any), func(_ int, s any) string { return v.check(s.(map[string]any), value, at) })
	case "additionalProperties":
		return v.object(schema, arg, object, at)
	}
	v.t.Fatalf("the schema has the keyword %s", keyword)
	return ""
}

func (v *validator) object(schema map[string]any, rest any, object map[string]any, at string) string {
	properties, _ := schema["properties"].(map[string]any)
	patterns, _ := schema["patternProperties"].(map[string]any)
	for name, value := range object {
		s, known := properties[name]
		for pattern, p := range patterns {
			if !known && regexp.MustCompile(pattern).MatchString(name) {
				s, known = p, true
			}
		}
		if !known {
			s = rest
		}
		if s == false {
			return at + " has no key " + name
		}
		if bad := v.check(s.(map[string]any), value, at+"."+name); bad != "" {
			return bad
		}
	}
	return ""
}

func first(list []any, check func(int, any) string) string {
	for i, item := range list {
		if bad := check(i, item); bad != "" {
			return bad
		}
	}
	return ""
}

func many(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func isType(typ string, value any) bool {
	switch v := value.(type) {
	case nil:
		return typ == "null"
	case bool:
		return typ == "boolean"
	case string:
		return typ == "string"
	case float64:
		return typ == "number" || typ == "integer" && v == math.Trunc(v)
	case []any:
		return typ == "array"
	default:
		return typ == "object"
	}
}
