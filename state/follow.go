package state

import (
	"context"
	"errors"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Change is one thing that Follow tells.
type Change[T any] struct {
	Key      string // below the kind's prefix
	Value    T      // the zero value when Deleted or Synced
	Deleted  bool
	Synced   bool  // no record, but the mark that all existing ones have been told
	Revision int64 // of the store: of the write, the removal, or (Synced) of the snapshot
}

// Follow tells fn of every record there is below keyPrefix, sorted by key, then of one Change that is
// Synced, then of every change as it happens, in order and without a gap. It survives lost connections.
// Where etcd has compacted away what a slow follower still wanted, it reads everything again and tells
// the differences, removals included; only states in between are lost then, never the last one.
//
// It blocks until ctx or the store ends, or until fn or the reading of a record fails, and returns
// that as an error (never nil). fn is called from one goroutine, Follow's own.
func (k Kind[T]) Follow(ctx context.Context, keyPrefix string, fn func(Change[T]) error) error {
	f := &follower[T]{kind: k, prefix: keyPrefix, tell: told(fn), known: map[string]int64{}}
	err := f.tail().run(ctx)
	if r, ok := errors.AsType[refused](err); ok {
		return r.error
	}
	return err
}

// told marks the errors of fn as final: its meaning is not ours to judge.
func told[T any](fn func(Change[T]) error) func(Change[T]) error {
	return func(c Change[T]) error {
		if err := fn(c); err != nil {
			return refused{err}
		}
		return nil
	}
}

type follower[T any] struct {
	kind   Kind[T]
	prefix string
	tell   func(Change[T]) error
	known  map[string]int64 // key to the revision last told
	synced bool
}

func (f *follower[T]) tail() tail {
	return tail{store: f.kind.store, path: f.kind.path(f.prefix), snapshot: f.snapshot, changes: f.changes}
}

// snapshot tells what differs from what is known, which at first is everything.
func (f *follower[T]) snapshot(ctx context.Context) (int64, error) {
	got, err := f.kind.list(ctx, f.prefix)
	if err != nil {
		return 0, err
	}
	rev := got.Header.Revision
	if err := f.gone(got.Kvs, rev); err != nil {
		return 0, err
	}
	for _, kv := range got.Kvs {
		if err := f.put(kv); err != nil {
			return 0, err
		}
	}
	if !f.synced {
		f.synced = true
		return rev, f.tell(Change[T]{Synced: true, Revision: rev})
	}
	return rev, nil
}

// gone tells of the known records that a new snapshot lacks.
func (f *follower[T]) gone(kvs []*mvccpb.KeyValue, rev int64) error {
	missing := maps.Clone(f.known)
	for _, kv := range kvs {
		delete(missing, f.kind.key(kv))
	}
	for _, key := range slices.Sorted(maps.Keys(missing)) {
		if err := f.remove(key, rev); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower[T]) changes(events []*clientv3.Event) error {
	for _, e := range events {
		if err := f.change(e); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower[T]) change(e *clientv3.Event) error {
	if e.Type == clientv3.EventTypeDelete {
		return f.remove(f.kind.key(e.Kv), e.Kv.ModRevision)
	}
	return f.put(e.Kv)
}

func (f *follower[T]) remove(key string, rev int64) error {
	delete(f.known, key)
	return f.tell(Change[T]{Key: key, Deleted: true, Revision: rev})
}

func (f *follower[T]) put(kv *mvccpb.KeyValue) error {
	key := f.kind.key(kv)
	if f.known[key] >= kv.ModRevision {
		return nil
	}
	item, err := f.kind.item(kv)
	if err != nil {
		return err
	}
	f.known[key] = kv.ModRevision
	return f.tell(Change[T]{Key: key, Value: item.Value, Revision: kv.ModRevision})
}
