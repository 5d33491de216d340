package state

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
)

// What one transaction may hold: etcd's own defaults, so that embedded and outside stores are alike.
const (
	maxTxOps   = 128
	maxTxBytes = 1400 << 10
)

// Tx gathers writes to records of any kind that happen together or not at all. It is made by Begin,
// filled by the ...In methods of the kinds, and done by Commit. It is for one goroutine, used once, and
// touches each record at most once.
type Tx struct {
	store *Store
	name  string
	conds []clientv3.Cmp
	ops   []clientv3.Op
	bytes int
	err   error // the first that a part met; Commit returns it
}

// Begin starts a transaction. name is a static word for its failpoint: "state.commit.<name>".
func (s *Store) Begin(name string) *Tx { return &Tx{store: s, name: name} }

// Commit makes every write of the transaction, or none: ErrConflict when a condition did not hold. It
// returns the revision of the store, which all its records share.
func (tx *Tx) Commit(ctx context.Context) (int64, error) {
	if err := tx.check(); err != nil {
		return 0, err
	}
	var txn *clientv3.TxnResponse
	err := failpoint.Around("state.commit."+tx.name, func() error {
		return tx.store.call(ctx, "commit "+tx.name, func(ctx context.Context) (err error) {
			txn, err = tx.store.client.Txn(ctx).If(tx.conds...).Then(tx.ops...).Commit()
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	if !txn.Succeeded {
		return 0, conflict("the transaction " + tx.name)
	}
	return txn.Header.Revision, nil
}

func (tx *Tx) check() error {
	if tx.err != nil {
		return tx.err
	}
	if len(tx.ops) > maxTxOps || len(tx.conds) > maxTxOps || tx.bytes > maxTxBytes {
		return fault.New(fault.Invalid, "the transaction %s is too large: %d writes, %d conditions, %d bytes, of at most %d, %d and %d",
			tx.name, len(tx.ops), len(tx.conds), tx.bytes, maxTxOps, maxTxOps, maxTxBytes)
	}
	return nil
}

// PutIn adds a write of a record, whether or not it is there.
func (k Kind[T]) PutIn(tx *Tx, key string, v T) {
	name, data, err := k.encode(key, v)
	if err != nil {
		tx.fail(err)
		return
	}
	tx.ops = append(tx.ops, clientv3.OpPut(k.store.root+name, data))
	tx.bytes += len(name) + len(data)
}

// CreateIn adds a record that must not be there yet.
func (k Kind[T]) CreateIn(tx *Tx, key string, v T) {
	k.UnchangedIn(tx, key, 0)
	k.PutIn(tx, key, v)
}

// DeleteIn adds a removal; an absent record does not mind.
func (k Kind[T]) DeleteIn(tx *Tx, key string) {
	name, err := k.name(key)
	if err != nil {
		tx.fail(err)
		return
	}
	tx.ops = append(tx.ops, clientv3.OpDelete(k.store.root+name))
}

// UnchangedIn adds the condition that the record was last written at revision (Item.Revision); 0 means
// that there is none.
func (k Kind[T]) UnchangedIn(tx *Tx, key string, revision int64) {
	name, err := k.name(key)
	if err != nil {
		tx.fail(err)
		return
	}
	tx.conds = append(tx.conds, clientv3.Compare(clientv3.ModRevision(k.store.root+name), "=", revision))
}

func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}
