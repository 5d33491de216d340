package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// callTimeout bounds one request, so that nobody waits for ever on a store that is gone. It is longer
// than etcd's own limit of about five seconds, whose answer says more.
const callTimeout = 10 * time.Second

// reconnect is how soon a lost connection is tried again; gRPC's own pauses grow to two minutes.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// Options say where the store is.
type Options struct {
	Dir       string       // embedded: data folder, made with mode 0700
	Socket    string       // embedded: path of the client's unix socket, at most 107 bytes
	Cluster   lain.Cluster // records lie below /lain/<cluster>/
	Endpoints []string     // outside etcd (http or https URLs); empty: embedded
	Logger    *slog.Logger // none if nil
}

// Store is a connection to etcd, and the embedded etcd itself where Options name no other. It is safe
// for use by many goroutines.
type Store struct {
	client *clientv3.Client
	server *server // nil: an outside etcd
	root   string  // "/lain/<cluster>/"
	owner  lain.Cluster
	log    *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // signals and leases
	mu     sync.Mutex     // guards work.Add against Close
	closed func() error
}

// Open starts or reaches etcd and returns once it answers. A data folder that another process holds is
// refused at once with a fault of kind Conflict. ctx bounds the opening only.
func Open(ctx context.Context, o Options) (*Store, error) {
	cluster, err := lain.ParseCluster(string(o.Cluster))
	if err != nil {
		return nil, fault.Hide(fault.Invalid, err, "%s", err)
	}
	s := &Store{root: "/lain/" + string(cluster) + "/", owner: cluster, log: logger(o)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.closed = sync.OnceValue(s.close)
	endpoints := o.Endpoints
	if len(endpoints) == 0 {
		if s.server, err = serve(ctx, o.Dir, o.Socket, s.log); err != nil {
			s.cancel(ErrClosed)
			return nil, err
		}
		endpoints = []string{"unix://" + o.Socket}
	}
	if err := s.connect(ctx, endpoints); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func logger(o Options) *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger.With("component", "state")
}

func (s *Store) connect(ctx context.Context, endpoints []string) error {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		DialTimeout:          callTimeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		DialOptions:          []grpc.DialOption{grpc.WithConnectParams(reconnect)},
		Logger:               zapTo(s.log, new(atomic.Bool)),
	})
	if err != nil {
		return fault.Hide(fault.Invalid, err, "the state store's address %s is no etcd endpoint", strings.Join(endpoints, " "))
	}
	s.client = client
	if _, err := s.revision(ctx); err != nil {
		return fmt.Errorf("reach the state store at %s: %w", strings.Join(endpoints, " "), err)
	}
	return nil
}

// Sole reports that etcd is embedded: this process is the only one that can own anything, so every
// other owner named in a record is dead.
func (s *Store) Sole() bool { return s.server != nil }

// Cluster is whose records they are.
func (s *Store) Cluster() lain.Cluster { return s.owner }

// Close ends every Follow, Signal and Lease of the store, waits for them, and stops an embedded etcd.
// A second call does nothing and returns the same error.
func (s *Store) Close() error { return s.closed() }

func (s *Store) close() error {
	s.mu.Lock()
	s.cancel(ErrClosed)
	s.mu.Unlock()
	s.work.Wait()
	var err error
	if s.client != nil {
		err = s.client.Close()
	}
	if s.server != nil {
		err = errors.Join(err, s.server.close())
	}
	return err
}

// spawn runs fn in a goroutine that Close waits for. It reports false when the store is closed.
func (s *Store) spawn(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.work.Go(fn)
	return true
}

// within ends a context with the store as well.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// call runs one request under the store's time limit.
func (s *Store) call(ctx context.Context, doing string, request func(context.Context) error) error {
	outer, done := s.within(ctx)
	defer done()
	inner, cancel := context.WithTimeout(outer, callTimeout)
	defer cancel()
	return s.explain(outer, doing, request(inner))
}

// revision asks for the newest one, through the quorum.
func (s *Store) revision(ctx context.Context) (int64, error) {
	var rev int64
	err := s.call(ctx, "read the revision", func(ctx context.Context) error {
		got, err := s.client.Get(ctx, s.root, clientv3.WithCountOnly())
		if err == nil {
			rev = got.Header.Revision
		}
		return err
	})
	return rev, err
}
