package state

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"lain.internal/lain/lain/fault"
)

// What callers test for with errors.Is. Each is found below a fault whose sentence names the record.
var (
	ErrNotFound = errors.New("no such record")
	ErrExists   = errors.New("the record exists already")
	ErrConflict = errors.New("the record was changed by somebody else")
	ErrClosed   = errors.New("the store is closed")
)

func notFound(name string) error {
	return fault.Hide(fault.NotFound, ErrNotFound, "there is no record %s", name)
}

func exists(name string) error {
	return fault.Hide(fault.Conflict, ErrExists, "the record %s exists already", name)
}

func conflict(name string) error {
	return fault.Hide(fault.Conflict, ErrConflict, "%s met a newer change: read again and retry", name)
}

// explain turns what etcd says into an error for our callers: a cancelled context stays one, a full
// store and an absent one are told apart. doing is a phrase such as "write apps/hello".
func (s *Store) explain(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ErrClosed)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fault.Hide(fault.Unavailable, err, "%s: the state store is full", doing).
			WithHint("Raise etcd's quota, or delete records, then disarm its alarm.")
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fault.Hide(fault.Conflict, err, "%s: its lease is lost", doing)
	default:
		return fault.Hide(fault.Unavailable, fmt.Errorf("%s: %w", doing, err),
			"%s: the state store does not answer, so it is not known whether this was done", doing)
	}
}
