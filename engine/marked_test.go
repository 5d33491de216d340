package engine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"lain.internal/lain/helper/enter"
)

// Whatever the pieces are in which it comes, all before the mark is handed on, at once but for what may be its beginning.
func TestMarked(t *testing.T) {
	mark := enter.Mark("T")
	for _, text := range []string{"", "a", mark[:5], mark[:3], "all\x00of it\n" + mark[:len(mark)-1] + "x"} {
		whole := text + mark + "after"
		for piece := 1; piece <= len(whole); piece++ {
			var out bytes.Buffer
			ends := 0
			m := newMarked(&out, "T", func() {
				if ends++; out.String() != text {
					t.Errorf("%q by %d: at the mark there is %q", text, piece, out.String())
				}
			})
			for rest := whole; rest != ""; rest = rest[min(piece, len(rest)):] {
				if n, err := m.Write([]byte(rest[:min(piece, len(rest))])); n != min(piece, len(rest)) || err != nil {
					t.Fatal(n, err)
				}
			}
			if out.String() != text || ends != 1 {
				t.Errorf("%q by %d: %q, ended %d times", text, piece, out.String(), ends)
			}
		}
	}
	var out bytes.Buffer
	m := newMarked(&out, "T", func() { t.Error("there is no mark") })
	for i := range 3 {
		fmt.Fprintf(m, "line %d\n", i)
	}
	if strings.Count(out.String(), "line") != 3 {
		t.Errorf("it is held back: %q", out.String())
	}
}
