package town

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// Disk is one of the machine's that can be filled.
type Disk struct {
	tw   *Town
	path string
}

// DataDisk is where the server's data lies.
func (tw *Town) DataDisk() Disk { return Disk{tw, tw.Data()} }

// EngineDisk is where the engine keeps images, containers and its Swarm.
func (tw *Town) EngineDisk() Disk { return Disk{tw, filepath.Join(tw.Lab.Dir(), "n1", "data")} }

// FreeKB is what is left, in KiB.
func (d Disk) FreeKB(t testing.TB) int {
	t.Helper()
	out, err := d.tw.Exec(t.Context(), "df", "-k", "--output=avail", d.path)
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

// Fill takes room until this much is left.
func (d Disk) Fill(t testing.TB, leaveKB int) {
	t.Helper()
	d.Empty(t)
	size := d.FreeKB(t) - leaveKB
	if size <= 0 {
		t.Fatalf("less than %d KB are free", leaveKB)
	}
	if out, err := d.tw.Exec(t.Context(), "fallocate", "-l", fmt.Sprintf("%dK", size), d.path+"/filler"); err != nil {
		t.Fatalf("fill the disk: %v\n%s", err, out)
	}
}

// Empty gives back what Fill took.
func (d Disk) Empty(t testing.TB) {
	t.Helper()
	if out, err := d.tw.Exec(t.Context(), "rm", "-f", d.path+"/filler"); err != nil {
		t.Fatalf("empty the disk: %v\n%s", err, out)
	}
}
