package state

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// maxKey is how many bytes a key may have below its prefix.
const maxKey = 512

// Kind is the records of one type below one prefix. It is a small value: make it where it is needed.
type Kind[T any] struct {
	store  *Store
	prefix string // "apps/"
	codec  codec
}

// Item is a record as it was read.
type Item[T any] struct {
	Key      string // below the prefix
	Value    T
	Revision int64 // of the store, when the record was last written
}

// Of names the records of type T below prefix, which is one of the lain.*Prefix constants. Their schema is
// what lain.Upgrades says of the prefix: a record of an older one is lifted step by step when it is read,
// and is written at the new one when it is next changed; one of a newer schema is refused.
func Of[T any](s *Store, prefix string) Kind[T] {
	prefix = strings.Trim(prefix, "/") + "/"
	return Kind[T]{store: s, prefix: prefix, codec: codec{steps: lain.Upgrades(prefix)}}
}

// Upgrading is the same kind with other steps than the table's. It is for tests of the steps.
func (k Kind[T]) Upgrading(steps ...lain.Upgrade) Kind[T] {
	k.codec = codec{steps: steps}
	return k
}

// Get reads one record, or returns ErrNotFound.
func (k Kind[T]) Get(ctx context.Context, key string) (Item[T], error) {
	name, err := k.name(key)
	if err != nil {
		return Item[T]{}, err
	}
	var got *clientv3.GetResponse
	err = k.store.call(ctx, "read "+name, func(ctx context.Context) (err error) {
		got, err = k.store.client.Get(ctx, k.store.root+name)
		return err
	})
	if err != nil {
		return Item[T]{}, err
	}
	if len(got.Kvs) == 0 {
		return Item[T]{}, notFound(name)
	}
	return k.item(got.Kvs[0])
}

// List reads every record whose key begins with keyPrefix ("" for all), sorted by key, as they were at
// the revision of the store that it returns. A prefix that means a whole name ends in "/".
func (k Kind[T]) List(ctx context.Context, keyPrefix string) ([]Item[T], int64, error) {
	got, err := k.list(ctx, keyPrefix)
	if err != nil {
		return nil, 0, err
	}
	items := make([]Item[T], 0, len(got.Kvs))
	for _, kv := range got.Kvs {
		item, err := k.item(kv)
		if err != nil {
			return nil, 0, err
		}
		items = append(items, item)
	}
	return items, got.Header.Revision, nil
}

func (k Kind[T]) list(ctx context.Context, keyPrefix string) (got *clientv3.GetResponse, err error) {
	err = k.store.call(ctx, "list "+k.prefix+keyPrefix, func(ctx context.Context) (err error) {
		got, err = k.store.client.Get(ctx, k.path(keyPrefix), clientv3.WithPrefix())
		return err
	})
	return got, err
}

// Put writes a record whether or not it was there, and returns the revision of the write. A lease that
// held the record before no longer does.
func (k Kind[T]) Put(ctx context.Context, key string, v T) (int64, error) {
	return k.put(ctx, key, v, clientv3.NoLease)
}

// PutLeased is Put for a record that vanishes with the lease.
func (k Kind[T]) PutLeased(ctx context.Context, key string, v T, l *Lease) (int64, error) {
	return k.put(ctx, key, v, l.id)
}

func (k Kind[T]) put(ctx context.Context, key string, v T, lease clientv3.LeaseID) (rev int64, err error) {
	name, data, err := k.encode(key, v)
	if err != nil {
		return 0, err
	}
	err = k.write(ctx, "put", "write "+name, func(ctx context.Context) error {
		put, err := k.store.client.Put(ctx, k.store.root+name, data, clientv3.WithLease(lease))
		if err == nil {
			rev = put.Header.Revision
		}
		return err
	})
	return rev, err
}

// Create writes a record that must not be there yet, or returns ErrExists.
func (k Kind[T]) Create(ctx context.Context, key string, v T) (int64, error) {
	return k.create(ctx, key, v, clientv3.NoLease)
}

// CreateLeased is Create for a record that vanishes with the lease: who creates it owns what it names.
func (k Kind[T]) CreateLeased(ctx context.Context, key string, v T, l *Lease) (int64, error) {
	return k.create(ctx, key, v, l.id)
}

func (k Kind[T]) create(ctx context.Context, key string, v T, lease clientv3.LeaseID) (int64, error) {
	name, data, err := k.encode(key, v)
	if err != nil {
		return 0, err
	}
	path := k.store.root + name
	txn, err := k.txn(ctx, "create", "create "+name, clientv3.Compare(clientv3.CreateRevision(path), "=", 0),
		clientv3.OpPut(path, data, clientv3.WithLease(lease)))
	if err != nil {
		return 0, err
	}
	if !txn.Succeeded {
		return 0, exists(name)
	}
	return txn.Header.Revision, nil
}

// Delete removes a record and returns the revision of the store; one that is absent is no error.
func (k Kind[T]) Delete(ctx context.Context, key string) (rev int64, err error) {
	name, err := k.name(key)
	if err != nil {
		return 0, err
	}
	err = k.write(ctx, "delete", "delete "+name, func(ctx context.Context) error {
		del, err := k.store.client.Delete(ctx, k.store.root+name)
		if err == nil {
			rev = del.Header.Revision
		}
		return err
	})
	return rev, err
}

// Update reads a record, lets change work on it, and writes it if nobody else did meanwhile; otherwise
// it begins again, so change may run several times and must not do anything else. An error of change
// ends it and is returned as it is; an absent record is ErrNotFound. What change leaves as it was is
// not written. A lease on the record stays.
func (k Kind[T]) Update(ctx context.Context, key string, change func(*T) error) (Item[T], error) {
	for {
		item, done, err := k.tryUpdate(ctx, key, change)
		if done || err != nil {
			return item, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(4 * time.Millisecond)):
		}
	}
}

func (k Kind[T]) tryUpdate(ctx context.Context, key string, change func(*T) error) (item Item[T], done bool, err error) {
	item, err = k.Get(ctx, key)
	if err != nil {
		return item, false, err
	}
	_, before, err := k.encode(key, item.Value)
	if err != nil {
		return item, false, err
	}
	if err := change(&item.Value); err != nil {
		return item, false, err
	}
	name, data, err := k.encode(key, item.Value)
	if err != nil || data == before {
		return item, true, err
	}
	path := k.store.root + name
	txn, err := k.txn(ctx, "update", "update "+name, clientv3.Compare(clientv3.ModRevision(path), "=", item.Revision),
		clientv3.OpPut(path, data, clientv3.WithIgnoreLease()))
	if err != nil {
		return item, false, err
	}
	item.Revision = txn.Header.Revision
	return item, txn.Succeeded, nil
}

// txn writes one record if a condition holds.
func (k Kind[T]) txn(ctx context.Context, op, doing string, when clientv3.Cmp, then clientv3.Op) (txn *clientv3.TxnResponse, err error) {
	err = k.write(ctx, op, doing, func(ctx context.Context) (err error) {
		txn, err = k.store.client.Txn(ctx).If(when).Then(then).Commit()
		return err
	})
	return txn, err
}

// write runs one request between its failpoints.
func (k Kind[T]) write(ctx context.Context, op, doing string, request func(context.Context) error) error {
	point := "state." + op + "." + strings.ReplaceAll(strings.Trim(k.prefix, "/"), "/", ".")
	return failpoint.Around(point, func() error { return k.store.call(ctx, doing, request) })
}

func (k Kind[T]) path(key string) string { return k.store.root + k.prefix + key }

// name is the record's path below the root, as people are told of it.
func (k Kind[T]) name(key string) (string, error) {
	if !validKey(key) {
		return "", fault.New(fault.Invalid, "%.80q is no key for a record below %s: use 1 to %d visible ASCII characters", key, k.prefix, maxKey)
	}
	return k.prefix + key, nil
}

func validKey(key string) bool {
	return key != "" && len(key) <= maxKey && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (k Kind[T]) encode(key string, v T) (name, data string, err error) {
	if name, err = k.name(key); err != nil {
		return "", "", err
	}
	data, err = k.codec.encode(name, v)
	return name, data, err
}

// key is the part of an etcd key below the prefix.
func (k Kind[T]) key(kv *mvccpb.KeyValue) string {
	return strings.TrimPrefix(string(kv.Key), k.path(""))
}

func (k Kind[T]) item(kv *mvccpb.KeyValue) (Item[T], error) {
	item := Item[T]{Key: k.key(kv), Revision: kv.ModRevision}
	err := k.codec.decode(k.prefix+item.Key, kv.Value, &item.Value)
	return item, err
}
