package start

import (
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The bounds of config values, in bytes and entries. A file of MaxConfig bytes is the largest that the engine
// delivers; an entry is what the kernel takes as one string of an environment (MAX_ARG_STRLEN).
const (
	MaxConfig  = 511_999
	maxEntry   = 128 << 10
	maxEntries = 4096
)

// The form of a file of config values: this first line, then KEY=VALUE entries that each end in a NUL byte, as
// in /proc/PID/environ. A value may hold anything else.
const configHeader = "lain-config 1\n"

// FormatConfig is the file of the values: the same values make the same file. It refuses what ParseConfig
// would, in a sentence without a value.
func FormatConfig(values map[string]string) ([]byte, error) {
	out := []byte(configHeader)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := CheckConfig(key, values[key]); err != nil {
			return nil, err
		}
		out = append(out, key+"="+values[key]+"\x00"...)
	}
	if len(out) > MaxConfig || len(values) > maxEntries {
		return nil, errors.New("an application has at most " + strconv.Itoa(maxEntries) + " config values, of " +
			strconv.Itoa(MaxConfig) + " bytes together: use a secret file")
	}
	return out, nil
}

// ParseConfig reads a file of config values into KEY=VALUE entries. A file that is cut, names a key twice, or
// holds a key that CheckConfig refuses, is refused whole. No error holds a value.
func ParseConfig(file []byte) ([]string, error) {
	rest, ours := strings.CutPrefix(string(file), configHeader)
	if !ours || len(file) > MaxConfig {
		return nil, errors.New("it is not a file of config values")
	}
	var entries []string
	seen := map[string]bool{}
	for rest != "" {
		entry, after, whole := strings.Cut(rest, "\x00")
		key, value, pair := strings.Cut(entry, "=")
		if !whole || !pair || len(entries) == maxEntries || seen[key] {
			return nil, errors.New("entry " + strconv.Itoa(len(entries)+1) + " is cut, doubled or too much")
		}
		if err := CheckConfig(key, value); err != nil {
			return nil, err
		}
		seen[key], rest = true, after
		entries = append(entries, entry)
	}
	return entries, nil
}

// CheckConfig says in one sentence why a config value of this key cannot be, without the value; nil if it can.
func CheckConfig(key, value string) error {
	switch {
	case !isName(key):
		return errors.New(quote(key) + " is not the name of a config value: use letters, digits and _, not a digit first")
	case reserved(key):
		return errors.New(key + " is set by Lain itself: choose another name")
	case strings.Contains(value, "\x00"):
		return errors.New("the value of " + key + " holds a NUL byte, which no environment can: use a secret file")
	case len(key)+len(value)+2 > maxEntry:
		return errors.New("the value of " + key + " is too large for an environment (128 KiB with its name): use a secret file")
	}
	return nil
}

// reserved are the names that Lain injects.
func reserved(key string) bool {
	return key == "PORT" || strings.HasPrefix(key, "LAIN_") || strings.HasPrefix(key, "DEPLOYD_")
}

func isName(key string) bool {
	for i, c := range []byte(key) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return key != "" && len(key) <= 256
}

// quote keeps a hostile name from filling a sentence.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strconv.Quote(s)
}

// Environment is env with the config values of a file over it; a key of env that is also in the file is
// replaced. Nothing of env is lost otherwise. The error names the file and no value.
func Environment(env []string, file string) ([]string, error) {
	data, err := readConfig(file)
	if err != nil {
		return nil, errors.New("cannot read the config values: " + err.Error())
	}
	entries, err := ParseConfig(data)
	if err != nil {
		return nil, errors.New("cannot read the config values in " + file + ": " + err.Error())
	}
	return merge(env, entries), nil
}

// readConfig reads a bit more than is allowed at most, so that a file that is too large is seen as such.
func readConfig(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, MaxConfig+1))
}

func merge(env, entries []string) []string {
	over := map[string]bool{}
	for _, entry := range entries {
		key, _, _ := strings.Cut(entry, "=")
		over[key] = true
	}
	out := make([]string, 0, len(env)+len(entries))
	for _, kv := range env {
		if key, _, _ := strings.Cut(kv, "="); !over[key] {
			out = append(out, kv)
		}
	}
	return append(out, entries...)
}
