package fault

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestLines(t *testing.T) {
	missing := New(Invalid, "web.api has no mountpoint").At("lain.yaml", 14, 1, "web.api:").
		WithHint("Only the proc named web gets one by itself. Try: mountpoint: [/api]")
	cases := map[string]struct {
		err  error
		want []string
	}{
		"nothing": {nil, nil},
		"a place, an excerpt, a hint": {missing, []string{"lain.yaml:14: web.api has no mountpoint", ">>> 14 | web.api:",
			"Only the proc named web gets one by itself. Try: mountpoint: [/api]"}},
		"wrapped":          {fmt.Errorf("read the commit: %w", missing), Lines(missing)},
		"a sentence alone": {New(Denied, "you may not push to hello"), []string{"you may not push to hello"}},
		"a file alone":     {New(Invalid, "it is empty").At("lain.yaml", 0, 0, "not drawn"), []string{"lain.yaml: it is empty"}},
		"a hint of two lines": {New(Failed, "two secrets are missing").WithHint("lain secret set hello A\r\n\n  lain secret set hello B \n"),
			[]string{"two secrets are missing", "lain secret set hello A", "  lain secret set hello B"}},
		"newlines in the sentence": {New(Failed, "one\r\ntwo"), []string{"one two"}},
		"an excerpt of two lines":  {New(Failed, "no").At("f", 2, 0, "a\r\nb"), []string{"f:2: no", ">>> 2 | a"}},
		"no fault":                 {errors.New("dial 10.0.0.1: refused"), []string{"internal error", "The server's log has the details."}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Lines(c.err); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
