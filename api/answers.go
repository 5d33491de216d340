package api

import (
	"fmt"
	"reflect"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/vaultbridge"
)

// shape is what a verb answers with in --json.
type shape struct {
	one  []any // values of the types of which the answer is one
	each any   // of the type of each line, where the answer is a line for each of something; nil: it is one value
}

func one(types ...any) shape { return shape{one: types} }

// shapes are those of all verbs. What is not here is not answered.
var shapes = map[string]shape{
	"help":            one([]verbInfo{}, verbHelp{}),
	"setup":           one(door{}),
	"whoami":          one(identity{}),
	"apps":            one([]lain.App{}),
	"apps create":     one(made{}),
	"info":            one(appInfo{}),
	"ps":              one([]psProc{}),
	"why":             one(whence{}),
	"releases":        one([]lain.Release{}),
	"runs":            one([]lain.Run{}),
	"runs attach":     {each: report.Event{}},
	"runs cancel":     one(lain.Run{}),
	"logs":            {each: logLine{}, one: []any{report.Event{}}},
	"keys add":        one(identity{}),
	"keys list":       one([]access.Key{}),
	"keys rm":         one(removed{}),
	"destroy":         one(destroyed{}),
	"rollback":        one(lain.Run{}, preview{}),
	"redeploy":        one(lain.Run{}, preview{}),
	"restart":         one(lain.Run{}, preview{}),
	"scale":           one(lain.Run{}, preview{}, []procSize{}),
	"ban":             one(lain.Ban{}),
	"unban":           one(unbanned{}),
	"diff":            one(difference{}),
	"secret put":      one(lain.Run{}, vaultbridge.Version{}),
	"secret list":     one([]vaultbridge.FileInfo{}),
	"secret get":      one(secretValue{}),
	"secret rm":       one(vaultbridge.Version{}),
	"secret history":  one([]vaultbridge.Version{}),
	"secret rollback": one(lain.Run{}, vaultbridge.Version{}),
	"apply":           one(lain.Run{}, []vaultbridge.Change{}),
	"config set":      one(lain.Run{}, vaultbridge.Version{}),
	"config list":     one(configNames{}),
	"config get":      one(configValue{}),
	"config unset":    one(lain.Run{}, vaultbridge.Version{}),
	"config history":  one([]configVersion{}),
	"config rollback": one(lain.Run{}, vaultbridge.Version{}),
	"activity":        one([]entry{}),
	"open":            one(place{}),
	"domains":         one([]domain{}),
	"bases":           one([]base{}),
	"capacity":        one(room{}),
	"events":          {each: event{}, one: []any{[]event{}}},
	"run":             {}, // what the command writes
	"enter":           {},
	"cp":              {},
}

// The answers that are nothing else's.
type (
	identity struct {
		Person      lain.Person `json:"person"`
		Fingerprint string      `json:"fingerprint"`
	}
	door struct {
		Host     string   `json:"host"`
		Port     int      `json:"port"`
		HostKeys []string `json:"host_keys"`
	}
	made struct {
		Name         lain.AppName `json:"name"`
		ObjectFormat string       `json:"object_format"`
	}
	removed struct {
		Removed string `json:"removed"`
	}
	destroyed struct {
		Destroyed lain.AppName `json:"destroyed"`
	}
	unbanned struct {
		Unbanned int `json:"unbanned"`
	}
	place struct {
		URL string `json:"url"`
	}
	preview struct {
		Serves      string      `json:"serves"`
		Change      lain.Change `json:"change"`
		Differences []string    `json:"differences"`
	}
	secretValue struct {
		Path    lain.SecretPath     `json:"path"`
		Version vaultbridge.Version `json:"version"`
		Mode    string              `json:"mode"` // octal
		UID     int                 `json:"uid"`
		GID     int                 `json:"gid"`
		Value   []byte              `json:"value_base64"`
	}
	configNames struct {
		Keys    []string            `json:"keys"`
		Version vaultbridge.Version `json:"version"`
	}
	configValue struct {
		Key     string              `json:"key"`
		Value   string              `json:"value"`
		Version vaultbridge.Version `json:"version"`
	}
)

// fits says whether a verb may answer with a value.
func (s shape) fits(v any) error {
	for _, known := range s.one {
		if reflect.TypeOf(v) == reflect.TypeOf(known) {
			return nil
		}
	}
	return fmt.Errorf("an answer of type %T is not among those of the verb", v)
}

// schema is the shape as JSON Schema (draft 2020-12); nil for a verb that answers nothing of its own.
func (s shape) schema() map[string]any {
	var all []any
	for _, v := range s.one {
		all = append(all, schemaOf(reflect.TypeOf(v)))
	}
	if s.each != nil {
		all = append(all, schemaOf(reflect.TypeOf(s.each)))
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0].(map[string]any)
	}
	return map[string]any{"anyOf": all}
}
