package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"lain.internal/lain/lain/fault"
)

const (
	readyTimeout  = 30 * time.Second
	closeTimeout  = 8 * time.Second // more than the 5.4 s that etcd gives its clients
	quota         = 2 << 30         // bytes of the data file, after which etcd refuses writes
	keepRevisions = "1000"          // history kept by the compaction, which etcd runs every five minutes
	maxSocketPath = 107             // sun_path of unix(7), less its final zero
	walSegment    = 16 << 20
	tickMs        = 20  // nobody to wait for in a cluster of one: a short election is a quick start
	electionMs    = 200 // and lets leases be as short as a second
	memberName    = "lain"
	nobodyListens = "127.0.0.1:2380" // etcd wants its own address as host:port; with one member it is never dialled
	lockFile      = "lock"
)

// The log is preallocated in two segments; etcd's 64 MB each would be most of a small store.
func init() { wal.SegmentSizeBytes = walSegment }

// server is an etcd inside this process.
type server struct {
	etcd  *embed.Etcd
	lock  *os.File
	ended atomic.Bool // from here on its complaints are about us
}

// serve starts etcd on dir and returns when it is ready. Only one process at a time may do so.
func serve(ctx context.Context, dir, socket string, log *slog.Logger) (*server, error) {
	if len(socket) > maxSocketPath || !filepath.IsAbs(socket) || !filepath.IsAbs(dir) {
		return nil, fault.New(fault.Invalid, "the state store needs a data folder and a socket as absolute paths, the socket in at most %d bytes, not %q and %q",
			maxSocketPath, dir, socket)
	}
	lock, err := claim(dir)
	if err != nil {
		return nil, err
	}
	s := &server{lock: lock}
	if err := s.start(ctx, dir, socket, log); err != nil {
		return nil, errors.Join(fault.Hide(fault.Unavailable, err, "the state store in %s does not start", dir), s.close())
	}
	return s, nil
}

// claim makes the folder and locks it for this process.
func claim(dir string) (*os.File, error) {
	if err := private(dir); err != nil {
		return nil, fault.Hide(fault.Unavailable, err, "the folder %s of the state store cannot be made", dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Hide(fault.Unavailable, err, "the folder %s of the state store cannot be locked", dir)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fault.Hide(fault.Conflict, err, "the state store in %s is in use by another process", dir).
			WithHint("Stop the other laind, or give this one a data folder of its own."), f.Close())
	}
	return f, nil
}

func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

func (s *server) start(ctx context.Context, dir, socket string, log *slog.Logger) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return err
	}
	etcd, err := embed.StartEtcd(config(dir, socket, zapTo(log, &s.ended)))
	if err != nil {
		return err
	}
	s.etcd = etcd
	if err := os.Chmod(socket, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case <-etcd.Server.ReadyNotify():
		if err := reserve(dir); err != nil {
			log.Warn("a full disk will end the state store", "error", err)
		}
		return nil
	case err := <-etcd.Err():
		return err
	case <-etcd.Server.StopNotify():
		return errors.New("it stopped while starting")
	case <-ctx.Done():
		return fmt.Errorf("wait until it is ready: %w", context.Cause(ctx))
	}
}

func config(dir, socket string, log *zap.Logger) *embed.Config {
	c := embed.NewConfig()
	c.Name = memberName
	c.Dir = filepath.Join(dir, "etcd")
	c.ListenPeerUrls = nil
	c.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: nobodyListens}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ListenClientUrls = []url.URL{{Scheme: "unix", Path: socket}}
	c.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: nobodyListens}}
	c.EnableGRPCGateway = false
	c.TickMs, c.ElectionMs = tickMs, electionMs
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModeRevision, keepRevisions
	c.QuotaBackendBytes = quota
	c.BootstrapDefragThresholdMegabytes = 100
	c.LogLevel = "error"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	return c
}

// close stops etcd and lets go of the folder. It must be called once. etcd waits without a limit for a
// connection on which nothing was ever said, so the wait is ended for it; the folder then stays locked
// until the process ends. Nothing is lost by that: what was acknowledged is on disk.
func (s *server) close() error {
	s.ended.Store(true)
	if s.etcd == nil {
		return s.lock.Close()
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.etcd.Close() }()
	select {
	case <-stopped:
		return s.lock.Close()
	case <-time.After(closeTimeout):
		return fault.New(fault.Unavailable, "the state store did not stop within %s, since another program holds its socket open", closeTimeout)
	}
}
