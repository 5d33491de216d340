package start

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConfigRoundTrip(t *testing.T) {
	values := map[string]string{"A": "1", "_b2": "two\nlines = and\ttab", "EMPTY": "", "BINARY": "\xff\xfe\x01", "PORTS": "x"}
	file, err := FormatConfig(values)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := FormatConfig(maps.Clone(values))
	if string(again) != string(file) {
		t.Error("the same values make two files")
	}
	entries, err := ParseConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, kv := range entries {
		k, v, _ := strings.Cut(kv, "=")
		got[k] = v
	}
	if !maps.Equal(got, values) {
		t.Errorf("got %q", got)
	}
}

func TestFormatConfig_refuses(t *testing.T) {
	const value = "hunter2-is-the-value"
	many := map[string]string{}
	for i := range 5 {
		many["K"+strings.Repeat("x", i)] = strings.Repeat("v", 120<<10)
	}
	for name, values := range map[string]map[string]string{
		"no name":         {"": value},
		"a digit first":   {"1A": value},
		"a dash":          {"A-B": value},
		"an equals sign":  {"A=B": value},
		"a NUL in it":     {"A\x00": value},
		"not ASCII":       {"Ä": value},
		"a long name":     {strings.Repeat("A", 257): value},
		"PORT":            {"PORT": value},
		"of Lain":         {"LAIN_X": value},
		"of LAIN's":       {"DEPLOYD_POD_NAME": value},
		"NUL in a value":  {"A": value + "\x00B=1"},
		"too large":       {"A": strings.Repeat("v", 128<<10)},
		"together larger": many,
	} {
		file, err := FormatConfig(values)
		if err == nil {
			t.Errorf("%s: taken as %d bytes", name, len(file))
		} else if strings.Contains(err.Error(), value) {
			t.Errorf("%s: the sentence holds the value: %v", name, err)
		}
	}
}

func TestParseConfig_refuses(t *testing.T) {
	for name, file := range map[string]string{
		"nothing":        "",
		"another file":   "A=1\x00",
		"cut":            configHeader + "A=1\x00B=2",
		"no pair":        configHeader + "A\x00",
		"twice":          configHeader + "A=1\x00A=2\x00",
		"a reserved key": configHeader + "PORT=1\x00",
		"an empty entry": configHeader + "\x00",
		"too many":       configHeader + many(maxEntries+1),
		"too large":      configHeader + strings.Repeat("x", MaxConfig),
	} {
		if got, err := ParseConfig([]byte(file)); err == nil {
			t.Errorf("%s: taken as %d entries", name, len(got))
		}
	}
	if got, err := ParseConfig([]byte(configHeader + many(maxEntries))); err != nil || len(got) != maxEntries {
		t.Errorf("the most there may be: %d, %v", len(got), err)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("K" + strings.Repeat("_", i%100) + string(rune('a'+i/100%26)) + string(rune('a'+i/2600)) + "=\x00")
	}
	return b.String()
}

func TestEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(configHeader+"A=new\x00C=3\x00"), 0o400); err != nil {
		t.Fatal(err)
	}
	env, err := Environment([]string{"A=old", "B=2", "A=older", "AA=kept", "odd"}, file)
	if want := []string{"B=2", "AA=kept", "odd", "A=new", "C=3"}; err != nil || !slices.Equal(env, want) {
		t.Errorf("%q %v", env, err)
	}
	if _, err := Environment(nil, file+".none"); err == nil {
		t.Error("a file that is not there is taken")
	}
	if err := os.WriteFile(file+"2", []byte(configHeader+"A=hunter2"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Environment(nil, file+"2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a file that is cut: %v", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{"", configHeader, configHeader + "A=1\x00", configHeader + "A=1\x00A=2\x00", configHeader + "A=\x00\x00", "lain-config 2\nA=1\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		entries, err := ParseConfig(file)
		if err != nil {
			return
		}
		values := map[string]string{}
		for _, kv := range entries {
			k, v, _ := strings.Cut(kv, "=")
			values[k] = v
		}
		again, err := FormatConfig(values)
		if err != nil || len(again) != len(file) || len(values) != len(entries) {
			t.Errorf("%q was taken, but does not come back: %q %v", file, again, err)
		}
	})
}
