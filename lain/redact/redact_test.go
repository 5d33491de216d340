package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const value = "hunter2/pass+wörd?"

func TestText_findsEveryForm(t *testing.T) {
	r := New([]string{value, "another-one"})
	quoted, _ := json.Marshal(value)
	cases := map[string]string{
		"plain":   value,
		"hex":     hex.EncodeToString([]byte(value)),
		"HEX":     fmt.Sprintf("%X", value),
		"query":   url.QueryEscape(value),
		"path":    url.PathEscape(value),
		"json":    string(quoted),
		"go":      fmt.Sprintf("%q", value),
		"two":     value + value,
		"another": "another-one",
	}
	for offset := range 4 {
		for _, tail := range []string{"", "x", "xy", "xyz"} {
			text := strings.Repeat("u", offset) + value + tail
			cases["std"+text] = base64.StdEncoding.EncodeToString([]byte(text))
			cases["url"+text] = base64.URLEncoding.EncodeToString([]byte(text))
		}
	}
	for name, text := range cases {
		got := r.Text("before " + text + " after")
		if !strings.Contains(got, Mark) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
}

func TestText_leavesTheRest(t *testing.T) {
	for _, r := range []*Redactor{nil, {}, New(nil), New([]string{"", "short", "\n\n"}), New([]string{value})} {
		for _, text := range []string{"", "a", "hunter", "nothing short in here", "hunter2/pass+w", strings.Repeat("x", 1000)} {
			if got := r.Text(text); got != text {
				t.Errorf("%q became %q", text, got)
			}
		}
	}
}

func TestText_takesTheLongest(t *testing.T) {
	r := New([]string{"secret", "secret-and-more", "secret-and"})
	if got := r.Text("secret-and-more;secret-and-mor;secrets"); got != Mark+";"+Mark+"-mor;"+Mark+"s" {
		t.Error(got)
	}
}

func TestText_linesOfAFile(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n  port: 8080\n-----END KEY-----\n"
	r := New([]string{key})
	if got := r.Text("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nport: 8080"); got != Mark+"\nport: 8080" {
		t.Error(got)
	}
	if got := r.Text("x" + key); !strings.HasPrefix(got, "x"+Mark) {
		t.Error(got)
	}
	if got := New([]string{value + "\n"}).Text("is " + value + "!"); got != "is "+Mark+"!" {
		t.Error(got)
	}
}

// What many values do to one text is what each does alone.
func TestText_manyValues(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var values []string
	for range 500 {
		values = append(values, fmt.Sprintf("v%x", rnd.Uint64()))
	}
	r := New(values)
	text := strings.Join(values, "\n")
	want := strings.TrimSuffix(strings.Repeat(Mark+"\n", len(values)), "\n")
	if got := r.Text(text); got != want {
		t.Errorf("%d values are left", strings.Count(got, "v"))
	}
}

func TestWriter(t *testing.T) {
	text := "one " + value + "\ntwo\n" + value + "\nthree " + value
	for size := 1; size <= len(text); size++ {
		var out strings.Builder
		w := New([]string{value}).NewWriter(&out)
		for piece := range slices.Chunk([]byte(text), size) {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(text, value, Mark); out.String() != want {
			t.Fatalf("in pieces of %d: %q", size, out.String())
		}
	}
}

func TestWriter_holdsNoMoreThanItMay(t *testing.T) {
	var out strings.Builder
	w := New([]string{value}).NewWriter(&out)
	for range 5 {
		_, _ = w.Write([]byte(strings.Repeat("x", maxHeld/2)))
	}
	if out.Len() < 3*maxHeld/2 || len(w.held) > maxHeld {
		t.Errorf("%d passed on, %d held", out.Len(), len(w.held))
	}
}

func FuzzText(f *testing.F) {
	f.Add(value, "x"+value+"y")
	f.Add("aaaaaa", "aaaaaaaaaaa")
	f.Add("\xff\xfe\x00\x00\x01\x02", "\xff\xfe\x00\x00\x01\x02")
	f.Fuzz(func(t *testing.T, secret, text string) {
		got := New([]string{secret}).Text(text + secret)
		if whole := strings.Trim(secret, "\r\n"); len(whole) >= Least && !strings.Contains(Mark, whole) && strings.Contains(strings.ReplaceAll(got, Mark, "\x00"), whole) && !strings.Contains(whole, "\x00") {
			t.Errorf("%q is still in %q", secret, got)
		}
	})
}

func BenchmarkText(b *testing.B) {
	var values []string
	for i := range 200 {
		values = append(values, fmt.Sprintf("value-%d-%x", i, i*7919))
	}
	r := New(values)
	line := strings.Repeat("2026-11-26T01:02:03Z GET /things/42 200 0.013 a line of a log; ", 16)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.Text(line)
	}
}
