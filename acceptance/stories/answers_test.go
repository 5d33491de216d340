//go:build acceptance

package stories

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// spoken is a verb as it is said, with what it reads; APP is the application.
type spoken struct{ words, stdin string }

// Every verb answers --json as its schema says, which help tells.
func TestJSON_EveryVerbFitsItsSchema(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := webAndWorker(t, tw, "schema", "  num_instances: 2")
	app.Change("two")
	app.MustPush()
	file, err := tw.NewKey("schema")
	must(t, err)
	key, err := os.ReadFile(file + ".pub")
	must(t, err)
	saids := []spoken{
		{"help", ""}, {"help logs", ""}, {"setup", ""}, {"whoami", ""}, {"apps", ""}, {"apps create APPx", ""}, {"info APP", ""}, {"ps APP", ""}, {"why APP web.1", ""},
		{"releases APP", ""}, {"runs APP", ""}, {"runs attach APP r-1", ""}, {"logs APP", ""}, {"logs APP --run r-1", ""},
		{"keys add schema-person", string(key)}, {"keys list", ""}, {"diff APP v1 v2", ""}, {"open APP", ""}, {"domains APP", ""}, {"bases", ""},
		{"capacity", ""}, {"activity APP", ""}, {"events APP", ""}, {"scale APP", ""}, {"scale APP worker=2 --dry-run", ""}, {"scale APP worker=2", ""},
		{"restart APP worker", ""}, {"redeploy APP --detach", ""}, {"runs attach APP", ""}, {"rollback APP v1", ""}, {"ban APP v2 -m leaks", ""}, {"unban APP v2", ""},
		{"secret put APP conf/key", "a secret"}, {"secret list APP", ""}, {"secret get APP conf/key", ""}, {"secret history APP conf/key", ""},
		{"secret rollback APP conf/key 1", ""}, {"secret rm APP conf/key", ""}, {"config set APP COLOUR", "blue"}, {"config set APP SIZE --stage", "9"},
		{"config list APP", ""}, {"config get APP COLOUR", ""}, {"config history APP", ""}, {"apply APP --dry-run", ""}, {"apply APP", ""}, {"apply APP", ""},
		{"config rollback APP 1 --stage", ""}, {"config unset APP COLOUR --stage", ""}, {"destroy APPx --confirm APPx", ""},
	}
	// Three answer what is a command's; one is below, and one needs a run that goes (TestRunsCancel).
	seen := map[string]bool{"run": true, "enter": true, "cp": true, "keys rm": true, "runs cancel": true}
	try := func(a spoken) {
		words := strings.ReplaceAll(a.words, "APP", app.Name)
		r := tw.SSHAs(t, tw.Key, words+" --json", strings.NewReader(a.stdin))
		if r.Code != 0 {
			t.Errorf("%s: exit %d\n%s", words, r.Code, r.All())
			return
		}
		verb := verbOf(t, tw, a.words)
		seen[verb.Name] = true
		if err := fitsSchema(verb, r.Stdout); err != nil {
			t.Errorf("%s: %v\n%s", words, err, r.Stdout)
		}
	}
	for _, a := range saids {
		try(a)
	}
	for _, k := range town.JSON[[]struct{ Person, Fingerprint string }](t, tw, "keys list") {
		if k.Person == "schema-person" {
			try(spoken{"keys rm " + k.Fingerprint, ""})
		}
	}
	for _, v := range town.JSON[[]described](t, tw, "help") {
		if !seen[v.Name] {
			t.Errorf("%s was not tried", v.Name)
		}
	}
}

// described is a verb as help --json tells of it.
type described struct {
	Name   string         `json:"name"`
	Lines  bool           `json:"lines"`
	Answer map[string]any `json:"answer"`
}

// verbOf asks for the verb that words begin with.
func verbOf(t *testing.T, tw *town.Town, words string) described {
	t.Helper()
	fields := strings.Fields(words)
	if len(fields) > 1 {
		if r := tw.SSH(t, "help "+strings.Join(fields[:2], " ")+" --json"); r.Code == 0 && !strings.HasPrefix(words, "help") {
			return town.JSON[described](t, tw, "help "+strings.Join(fields[:2], " "))
		}
	}
	return town.JSON[described](t, tw, "help "+fields[0])
}

// fitsSchema checks an answer: one value, or a line for each.
func fitsSchema(v described, text string) error {
	texts := []string{text}
	if v.Lines {
		if whole := new(any); json.Unmarshal([]byte(text), whole) != nil {
			texts = strings.Split(strings.TrimSpace(text), "\n")
		}
	}
	for _, one := range texts {
		var value any
		if err := json.Unmarshal([]byte(one), &value); err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		if why := misfits(value, v.Answer, v.Name); why != "" {
			return fmt.Errorf("it does not fit: %s", why)
		}
	}
	return nil
}

// misfits says where a value is not what a schema of ours allows, "" for nowhere. Of JSON Schema it knows what these
// schemas have, and it allows no property that is not named.
func misfits(value any, schema map[string]any, at string) string {
	if choices, ok := schema["anyOf"].([]any); ok {
		var whys []string
		for _, s := range choices {
			why := misfits(value, s.(map[string]any), at)
			if why == "" {
				return ""
			}
			whys = append(whys, why)
		}
		return strings.Join(whys, ", and ")
	}
	switch v := value.(type) {
	case map[string]any:
		return objectMisfits(v, schema, at)
	case []any:
		items, ok := schema["items"].(map[string]any)
		if !ok {
			return typeMisfits("array", schema, at)
		}
		for i, item := range v {
			if why := misfits(item, items, fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
		return ""
	case string:
		if schema["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
				return at + " is no time"
			}
		}
		return typeMisfits("string", schema, at)
	case bool:
		return typeMisfits("boolean", schema, at)
	case float64:
		if v == math.Trunc(v) && schema["type"] == "integer" {
			return ""
		}
		return typeMisfits("number", schema, at)
	}
	return typeMisfits("null", schema, at)
}

func typeMisfits(kind string, schema map[string]any, at string) string {
	if want, said := schema["type"]; said && want != kind {
		return fmt.Sprintf("%s is of type %s, not %v", at, kind, want)
	}
	return ""
}

func objectMisfits(v, schema map[string]any, at string) string {
	if why := typeMisfits("object", schema, at); why != "" {
		return why
	}
	properties, _ := schema["properties"].(map[string]any)
	others, open := schema["additionalProperties"].(map[string]any)
	required, isList := schema["required"].([]any)
	if _, said := schema["required"]; said && !isList {
		return at + " has a schema whose required is no list"
	}
	for _, name := range required {
		if _, there := v[name.(string)]; !there {
			return fmt.Sprintf("%s has no %s", at, name)
		}
	}
	if properties == nil && !open {
		return "" // any object
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		p, known := properties[name].(map[string]any)
		if !known && !open {
			return fmt.Sprintf("%s has %s, which is not in the schema", at, name)
		}
		if !known {
			p = others
		}
		if why := misfits(v[name], p, at+"."+name); why != "" {
			return why
		}
	}
	return ""
}
