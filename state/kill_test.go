package state_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

var background = context.Background()

// The test binary runs itself as a writer (TestMain) and kills it in the middle of its work, three times
// over the same folder.
func TestOpen_afterAKillHasEverythingThatWasAcknowledged(t *testing.T) {
	dir := shortDir(t)
	for round := range 3 {
		acknowledged := killAfter(t, dir, round, 50+100*round)
		s := statetest.OpenAt(t, dir)
		k := state.Of[record](s, "apps/"+strconv.Itoa(round))
		for i := range acknowledged + 1 {
			if got, err := k.Get(t.Context(), strconv.Itoa(i)); err != nil || got.Value.Count != i {
				t.Fatalf("record %d of %d that were acknowledged: %+v, %v", i, acknowledged, got, err)
			}
		}
		items, _, err := k.List(t.Context(), "")
		must(t, err)
		if extra := len(items) - acknowledged - 1; extra < 0 || extra > 1 { // one may have been on its way
			t.Errorf("%d records, %d acknowledged", len(items), acknowledged+1)
		}
		must(t, s.Close())
	}
}

// killAfter returns the last number that the writer printed.
func killAfter(t *testing.T, dir string, round, writes int) (last int) {
	t.Helper()
	writer := exec.Command(os.Args[0], strconv.Itoa(round))
	writer.Env = append(os.Environ(), "LAIN_STATE_TEST_WRITER="+dir)
	writer.Stderr = os.Stderr
	out, err := writer.StdoutPipe()
	must(t, err)
	must(t, writer.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the writer said %q", lines.Text())
		}
		if last == writes {
			must(t, writer.Process.Kill())
		}
	}
	_ = writer.Wait() // killed
	if last < writes {
		t.Fatalf("the writer ended after %d", last)
	}
	return last
}
