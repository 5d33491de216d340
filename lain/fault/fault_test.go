package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestNew_keepsTheCause(t *testing.T) {
	f := New(Unavailable, "the registry is away: %w", io.ErrUnexpectedEOF)
	if !errors.Is(f, io.ErrUnexpectedEOF) || f.Error() != "the registry is away: unexpected EOF" {
		t.Errorf("got %v", f)
	}
}

func TestHide_showsNothingOfTheCause(t *testing.T) {
	f := Hide(Unavailable, io.ErrUnexpectedEOF, "the registry is away")
	if !errors.Is(f, io.ErrUnexpectedEOF) || f.Error() != "the registry is away" {
		t.Errorf("got %v", f)
	}
}

func TestOf(t *testing.T) {
	f := New(NotFound, "no such application")
	if got := Of(fmt.Errorf("open: %w", f)); got != f {
		t.Errorf("wrapped: got %v", got)
	}
	if Of(nil) != nil {
		t.Error("nil has a fault")
	}
	if got := Of(io.EOF); got.Kind != Internal || got.Error() != "internal error" || !errors.Is(got, io.EOF) {
		t.Errorf("a stranger's error: got %+v", got)
	}
}

// At and WithHint must not change a fault that others hold.
func TestFault_copies(t *testing.T) {
	f := New(Invalid, "no")
	if g := f.At("lain.yaml", 3, 2, "x").WithHint("try %d", 7); g.Error() != "lain.yaml:3: no" || g.Hint != "try 7" {
		t.Errorf("got %+v", g)
	}
	if f.File != "" || f.Hint != "" {
		t.Errorf("the first one is now %+v", f)
	}
}

func TestExitCode(t *testing.T) {
	cases := map[Kind]int{Invalid: 64, NotFound: 66, Denied: 77, Conflict: 75, Unavailable: 75, Internal: 70, Cancelled: 130, Failed: 1}
	for kind, want := range cases {
		if got := ExitCode(New(kind, "x")); got != want {
			t.Errorf("%s: %d, want %d", kind, got, want)
		}
	}
	if ExitCode(nil) != 0 || ExitCode(io.EOF) != 70 {
		t.Errorf("nil: %d, a stranger's error: %d", ExitCode(nil), ExitCode(io.EOF))
	}
}
