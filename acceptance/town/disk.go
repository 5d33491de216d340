package town

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// mountData gives the server's data folder a small disk of its own, which only its machine sees and which goes with
// it.
func (tw *Town) mountData(ctx context.Context) error {
	if tw.o.DataMB == 0 {
		return nil
	}
	if err := os.Mkdir(tw.Data(), 0o711); err != nil {
		return err
	}
	out, err := tw.Exec(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=711", tw.o.DataMB), "lain-data", tw.Data())
	if err != nil {
		return fmt.Errorf("mount a disk for the data: %w\n%s", err, out)
	}
	return nil
}

// FreeKB is what is free on the data's disk.
func (tw *Town) FreeKB(t testing.TB) int {
	t.Helper()
	out, err := tw.Exec(t.Context(), "df", "-k", "--output=avail", tw.Data())
	if err != nil {
		t.Fatalf("df: %v\n%s", err, out)
	}
	lines := strings.Fields(out)
	n, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		t.Fatalf("df: %v\n%s", err, out)
	}
	return n
}

// Fill takes room on the data's disk until this much is left.
func (tw *Town) Fill(t testing.TB, leaveKB int) {
	t.Helper()
	tw.Empty(t)
	size := tw.FreeKB(t) - leaveKB
	if size <= 0 {
		t.Fatalf("less than %d KB are free", leaveKB)
	}
	if out, err := tw.Exec(t.Context(), "fallocate", "-l", fmt.Sprintf("%dK", size), tw.Data()+"/filler"); err != nil {
		t.Fatalf("fill the disk: %v\n%s", err, out)
	}
}

// Empty gives back what Fill took.
func (tw *Town) Empty(t testing.TB) {
	t.Helper()
	if out, err := tw.Exec(t.Context(), "rm", "-f", tw.Data()+"/filler"); err != nil {
		t.Fatalf("empty the disk: %v\n%s", err, out)
	}
}
