package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"lain.internal/lain/archive/format"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// Source is a control plane that is to be backed up.
type Source struct {
	Store    *state.Store
	Gate     *Gate // nil where nobody else is at work
	Cluster  lain.Cluster
	Version  string // of laind
	Data     string // the data folder, absolute
	Settings string // path of laind.yaml; a file that is not there is left out, as is ""

	Parts []Part   // copied first, in this order
	Leave []string // names in the data folder that are not copied; all that is in neither list is

	Now func() time.Time
}

// Summary says what an archive holds.
type Summary struct {
	Cluster  lain.Cluster `json:"cluster"`
	Lain     string       `json:"lain"`
	Time     time.Time    `json:"time"`
	Revision int64        `json:"revision"`
	Apps     int          `json:"apps"`
	Records  int          `json:"records"`
	Entries  int          `json:"entries"`
	Bytes    int64        `json:"bytes"`          // of content, before encryption
	Left     []string     `json:"left,omitempty"` // what is neither a file nor a folder, and so is not in it
}

// Write writes the archive, in the clear, as it goes: it needs no room on the disk, and no memory that grows with
// the size of a file. Removals wait for it. Archives whose Write failed lack their seal, and no restore takes
// them.
func (s Source) Write(ctx context.Context, w io.Writer) (Summary, error) {
	release, err := s.hold(ctx)
	if err != nil {
		return Summary{}, err
	}
	defer release()
	snapshot, err := s.Store.Snapshot(ctx)
	if err != nil {
		return Summary{}, err
	}
	sum := Summary{Cluster: s.Cluster, Lain: s.Version, Time: s.Now().UTC().Truncate(time.Second), Revision: snapshot.Revision}
	out, err := format.NewWriter(w, format.Manifest{Lain: sum.Lain, Cluster: sum.Cluster, Time: sum.Time, Revision: sum.Revision})
	if err != nil {
		return sum, err
	}
	apps, err := s.records(ctx, out, snapshot, &sum)
	if err != nil {
		return sum, err
	}
	if err := s.settings(ctx, out); err != nil {
		return sum, err
	}
	if sum.Left, err = s.folders(ctx, out, apps); err != nil {
		return sum, err
	}
	seal, err := out.Close()
	sum.Entries, sum.Bytes = seal.Entries, seal.Bytes
	return sum, err
}

func (s Source) hold(ctx context.Context) (func(), error) {
	if s.Gate == nil {
		return func() {}, nil
	}
	return s.Gate.Hold(ctx)
}

// records copies the snapshot, and tells the applications in it.
func (s Source) records(ctx context.Context, out *format.Writer, snapshot *state.Snapshot, sum *Summary) (map[string]bool, error) {
	apps := map[string]bool{}
	for {
		page, err := snapshot.Next(ctx)
		if err != nil || len(page) == 0 {
			sum.Apps = len(apps)
			return apps, err
		}
		records := make([]format.Record, len(page))
		for i, r := range page {
			records[i] = format.Record{Key: r.Key, Value: r.Data}
			if app, ok := strings.CutPrefix(r.Key, lain.AppsPrefix); ok {
				apps[app] = true
			}
		}
		sum.Records += len(records)
		if err := out.Records(records, sum.Time); err != nil {
			return apps, err
		}
	}
}

func (s Source) settings(ctx context.Context, out *format.Writer) error {
	if s.Settings == "" {
		return nil
	}
	f, err := os.OpenFile(s.Settings, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("the settings in %s are no file", s.Settings))
	}
	return out.Add(ctx, head(format.Settings, "", info), f)
}

func (s Source) folders(ctx context.Context, out *format.Writer, apps map[string]bool) ([]string, error) {
	root, err := os.OpenRoot(s.Data)
	if err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	defer root.Close()
	w := &walk{root: root, out: out, apps: apps, done: map[string]bool{}}
	for _, p := range s.Parts {
		if err := w.part(ctx, p); err != nil {
			return w.left, err
		}
	}
	return w.left, w.rest(ctx, s.Leave)
}
