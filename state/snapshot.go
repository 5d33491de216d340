package state

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// pageSize is how many records a page of a snapshot has at most; each is at most MaxRecord.
const pageSize = 64

// Raw is a record as it lies in etcd, in its envelope.
type Raw struct {
	Key  string // below the root: "apps/hello"
	Data []byte
}

// Snapshot is all records as they were at one revision. It is read page by page, while others write.
type Snapshot struct {
	store    *Store
	Revision int64
	next     string // where the next page begins; "" at the end
}

// Snapshot begins one at the newest revision. There is nothing to close. It lasts as long as etcd keeps its
// history: a thousand revisions, looked at every five minutes.
func (s *Store) Snapshot(ctx context.Context) (*Snapshot, error) {
	rev, err := s.revision(ctx)
	return &Snapshot{store: s, Revision: rev, next: s.root}, err
}

// Next gives the next page, sorted by key; none at the end. Records of a lease are left out: they say that
// somebody lives, which nobody does who reads a snapshot later.
func (p *Snapshot) Next(ctx context.Context) ([]Raw, error) {
	for p.next != "" {
		got, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		var page []Raw
		for _, kv := range got.Kvs {
			if kv.Lease == 0 {
				page = append(page, Raw{Key: strings.TrimPrefix(string(kv.Key), p.store.root), Data: kv.Value})
			}
		}
		if p.next = ""; got.More {
			p.next = string(got.Kvs[len(got.Kvs)-1].Key) + "\x00"
		}
		if len(page) > 0 {
			return page, nil
		}
	}
	return nil, nil
}

func (p *Snapshot) read(ctx context.Context) (got *clientv3.GetResponse, err error) {
	err = p.store.call(ctx, "read a snapshot", func(ctx context.Context) (err error) {
		got, err = p.store.client.Get(ctx, p.next, clientv3.WithRange(clientv3.GetPrefixRangeEnd(p.store.root)),
			clientv3.WithRev(p.Revision), clientv3.WithLimit(pageSize))
		return err
	})
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil, fault.Hide(fault.Unavailable, err, "so much was written meanwhile that the state store has forgotten what it was to tell").
			WithHint("Try again at a quieter time.")
	}
	return got, err
}

// Load writes records of a snapshot into a store, whether or not they are there. Each is looked at first: one
// that is damaged, or of a newer schema than this version reads, is refused. It is no transaction: a store whose
// Load failed is to be thrown away.
func (s *Store) Load(ctx context.Context, records []Raw) error {
	var ops []clientv3.Op
	size := 0
	for _, r := range records {
		if err := checkRaw(r); err != nil {
			return err
		}
		if len(ops) == maxTxOps || len(ops) > 0 && size+len(r.Data) > maxTxBytes {
			if err := s.load(ctx, ops); err != nil {
				return err
			}
			ops, size = nil, 0
		}
		ops = append(ops, clientv3.OpPut(s.root+r.Key, string(r.Data)))
		size += len(r.Data)
	}
	return s.load(ctx, ops)
}

func (s *Store) load(ctx context.Context, ops []clientv3.Op) error {
	if len(ops) == 0 {
		return nil
	}
	return failpoint.Around("state.load", func() error {
		return s.call(ctx, "load records", func(ctx context.Context) error {
			_, err := s.client.Txn(ctx).Then(ops...).Commit()
			return err
		})
	})
}

// checkRaw holds a record from outside to what Kind would have written.
func checkRaw(r Raw) error {
	kind, key, _ := strings.Cut(r.Key, "/")
	if !validKey(kind) || !validKey(key) || len(r.Data) > MaxRecord {
		return fault.New(fault.Invalid, "%.80q, of %d bytes, is no record", r.Key, len(r.Data))
	}
	if _, err := (codec{steps: lain.Upgrades(r.Key)}).open(r.Key, r.Data); err != nil {
		f := *fault.Of(err)
		f.Kind = fault.Invalid // not a mistake of ours here
		return &f
	}
	return nil
}
