package api

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// schemaOf is the JSON Schema of what encoding/json makes of a type. It knows what answers are made of, and panics for
// anything else.
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return orNull(schemaOf(t.Elem()))
	case t.Kind() == reflect.Struct:
		return structSchema(t)
	case t == reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case t.Kind() == reflect.Interface:
		return map[string]any{}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	}
	return map[string]any{"type": plainType(t)}
}

func plainType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return "integer"
	}
	panic("no schema for the type " + t.String())
}

// structSchema lists fields as encoding/json does: those of an embedded struct are its own, and a field of its own wins
// over one of the same name in there. What may be left out is not required; what is nil is null.
func structSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, map[string]bool{}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			inner := structSchema(f.Type)
			maps.Copy(properties, inner["properties"].(map[string]any))
			for _, name := range inner["required"].([]string) {
				required[name] = true
			}
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, tagged := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			panic("a field of an answer has no name in JSON: " + t.String() + "." + f.Name)
		}
		properties[name], required[name] = schemaOf(f.Type), !tagged || !strings.Contains(options, "omit")
		if k := f.Type.Kind(); required[name] && (k == reflect.Slice || k == reflect.Map) {
			properties[name] = orNull(schemaOf(f.Type))
		}
	}
	maps.DeleteFunc(required, func(_ string, is bool) bool { return !is })
	names := slices.AppendSeq([]string{}, maps.Keys(required)) // null would be no schema
	slices.Sort(names)
	return map[string]any{"type": "object", "properties": properties, "required": names}
}

func orNull(schema map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
}
