package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// root holds the locks and the disks of all labs of this machine. It is short because the paths of unix
// sockets are, and fixed so that a later run finds what a dead one left.
const root = "/tmp/lain-labs"

// slots is how many labs without a name can exist at once.
const slots = 40

// ErrBusy says that a lab of that name is held by a living process.
var ErrBusy = errors.New("a lab of that name is in use")

// slot is the place of one lab: held as long as the lock file is open.
type slot struct {
	name, net string
	lock      *os.File
}

func (s *slot) dir() string { return filepath.Join(root, s.name) }

// release lets others have the place. The file stays: removing it would let two holders lock two files.
func (s *slot) release() error { return s.lock.Close() }

// take locks the place called name, or says ErrBusy.
func take(name, net string) (*slot, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the labs: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(root, name+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of lab %s: %w", name, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(busy(name, err), f.Close())
	}
	return &slot{name: name, net: net, lock: f}, nil
}

func busy(name string, err error) error {
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w", name, ErrBusy)
	}
	return fmt.Errorf("lock lab %s: %w", name, err)
}

// note writes the network into the lock file, so that whoever finds the place after our death can clear it.
func (s *slot) note() error {
	if err := s.lock.Truncate(0); err != nil {
		return fmt.Errorf("note the network of lab %s: %w", s.name, err)
	}
	if _, err := s.lock.WriteAt([]byte(s.net), 0); err != nil {
		return fmt.Errorf("note the network of lab %s: %w", s.name, err)
	}
	return nil
}

// free takes the first place that nobody holds.
func free() (*slot, error) {
	for i := range slots {
		s, err := take(fmt.Sprintf("lab%d", i), fmt.Sprintf("10.119.%d", i))
		if err == nil || !errors.Is(err, ErrBusy) {
			return s, err
		}
	}
	return nil, fmt.Errorf("all %d labs of this machine are in use: end some of the test runs", slots)
}

// Sweep removes what dead runs left: every lab whose lock can be taken. It returns the names of those it
// removed. Labs that are held are left alone.
func Sweep(ctx context.Context) ([]string, error) {
	locks, err := filepath.Glob(filepath.Join(root, "*.lock"))
	if err != nil {
		return nil, fmt.Errorf("look for labs: %w", err)
	}
	var swept []string
	var errs []error
	for _, path := range locks {
		name := strings.TrimSuffix(filepath.Base(path), ".lock")
		removed, err := sweepOne(ctx, name)
		errs = append(errs, err)
		if removed {
			swept = append(swept, name)
		}
	}
	return swept, errors.Join(errs...)
}

func sweepOne(ctx context.Context, name string) (bool, error) {
	net, err := os.ReadFile(filepath.Join(root, name+".lock"))
	if err != nil || len(net) == 0 {
		return false, nil // never used
	}
	s, err := take(name, string(net))
	if errors.Is(err, ErrBusy) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := clear(ctx, s); err != nil {
		return false, errors.Join(err, s.release())
	}
	return true, errors.Join(s.lock.Truncate(0), s.release())
}

// clear removes all that stands in a place that we hold.
func clear(ctx context.Context, s *slot) error {
	l := &Lab{slot: s}
	if _, err := l.run(ctx, "down"); err != nil {
		return fmt.Errorf("clear lab %s: %w", s.name, err)
	}
	return os.RemoveAll(s.dir())
}
