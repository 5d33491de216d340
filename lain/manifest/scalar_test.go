package manifest

import (
	"strconv"
	"strings"
	"testing"
)

// The expected types are those PyYAML 3.11's safe_load gives.
func TestResolve_isYAML11(t *testing.T) {
	cases := []struct {
		text   string
		kind   kind
		number int64
	}{
		{"", null, 0}, {"~", null, 0}, {"NULL", null, 0}, {"nUll", text, 0},
		{"yes", boolean, 0}, {"Off", boolean, 0}, {"y", text, 0}, {"tRue", text, 0},
		{"0", integer, 0}, {"12", integer, 12}, {"-12", integer, -12}, {"+12", integer, 12}, {"1_000", integer, 1000},
		{"0400", integer, 256}, {"-010", integer, -8}, {"080", text, 0}, {"0o17", text, 0}, {"0b101", integer, 5}, {"0x1F", integer, 31}, {"-0x10", integer, -16},
		{"12:30", integer, 750}, {"1:02:03", integer, 3723}, {"-1:30", integer, -90}, {"12:60", text, 0}, {"0:30", text, 0}, {"9500:8080", text, 0},
		{"99999999999999999999", text, 0}, {"201704220054", integer, 201704220054}, {"9223372036854775807", integer, 9223372036854775807},
		{"1:00:00:00:00:00:00:00:00:00:00:00:00", text, 0}, {"0b", text, 0}, {"0x_", text, 0}, {"0_", integer, 0},
		{"0.1", fraction, 0}, {"1.", fraction, 0}, {".5", fraction, 0}, {"1e3", text, 0}, {"1.0e+3", fraction, 0}, {".inf", fraction, 0}, {".NaN", fraction, 0}, {"1:30.5", fraction, 0}, {".", text, 0},
		{"2016-09-13", date, 0}, {"2016-9-13", text, 0}, {"2016-9-13 1:02:03", date, 0}, {"2016-09-13T01:02:03Z", date, 0},
		{"hello", text, 0}, {"1.2.3", text, 0}, {"64m", text, 0},
	}
	for _, c := range cases {
		if k, n := resolve(c.text); k != c.kind || n != c.number {
			t.Errorf("resolve(%q) is %s %d, want %s %d", c.text, k, n, c.kind, c.number)
		}
	}
}

// FuzzResolve holds the resolver against itself: a number has one value however it is written.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"", "~", "yes", "0400", "-0_7", "0b1_0", "0x_F", "1:30", "-1:02:03", "1_0:59", "12:60", "08", "0o17", "+12",
		"9223372036854775807", "-9223372036854775808", "99999999999999999999", "1:00:00:00:00:00:00:00:00:00:00:00:00",
		"1e3", "1.0e+3", "._1", "1:30.5", "-.INF", ".nan", "2016-09-13", "2016-9-3T1:02:03.5 +08:00", "=", "<<"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, n := resolve(s)
		if k != integer {
			if n != 0 {
				t.Errorf("%q is %s with the number %d", s, k, n)
			}
			return
		}
		for _, same := range []string{strconv.FormatInt(n, 10), strings.ReplaceAll(s, "_", "")} {
			if k2, n2 := resolve(same); k2 != integer || n2 != n {
				t.Errorf("%q is %d, but %q is %s %d", s, n, same, k2, n2)
			}
		}
		if !strings.ContainsAny(s[:1], "+-") {
			if k2, n2 := resolve("-" + s); len(s) < maxNumber && (k2 != integer || n2 != -n) {
				t.Errorf("%q is %d, but -%s is %s %d", s, n, s, k2, n2)
			}
		}
	})
}

func TestSize(t *testing.T) {
	cases := map[string]int64{"256m": 256 << 20, "256M": 256 << 20, "1g": 1 << 30, "1.5G": 3 << 29, "64MiB": 64 << 20, "64 mb": 64 << 20,
		"8388608": 8 << 20, "6m": 6 << 20, "64t": 64 << 40}
	for s, want := range cases {
		m, found := Parse("lain.yaml", []byte(head+"web: {memory: "+s+"}\n"))
		if m == nil || m.Procs[0].MemoryBytes != want {
			t.Errorf("%s: %v, want %d", s, found, want)
		}
	}
	for _, s := range []string{"5m", "65t", "-1g", "1p", "m", "0", "1e9", "999999999999t", "9999999999999", "[1g]", "yes"} {
		if m, _ := Parse("lain.yaml", []byte(head+"web: {memory: "+s+"}\n")); m != nil {
			t.Errorf("%s is taken for %d bytes", s, m.Procs[0].MemoryBytes)
		}
	}
}
