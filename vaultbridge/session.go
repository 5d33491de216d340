package vaultbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

// session is one identity's token, fetched when it is first needed and anew before it expires, or when the
// vault does not know it any more.
type session struct {
	login func(ctx context.Context, base *api.Client) (grant, error)

	turn    chan struct{} // holds one while somebody looks or logs in
	client  *api.Client   // nil: not logged in
	expires time.Time     // zero: never
}

func newSession(login func(context.Context, *api.Client) (grant, error)) *session {
	return &session{login: login, turn: make(chan struct{}, 1)}
}

// opened is a client that is logged in, and whether the login was made just now. One login at a time; those
// who wait for it wait no longer than their ctx.
func (s *session) opened(ctx context.Context, d *door) (c *api.Client, fresh bool, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if s.client != nil && (s.expires.IsZero() || time.Now().Before(s.expires)) {
		return s.client, false, nil
	}
	base, err := d.client("")
	if err != nil {
		return nil, false, err
	}
	g, err := s.login(ctx, base)
	if err != nil {
		return nil, false, loginFailed(err)
	}
	if s.client, err = d.client(g.token); err != nil {
		return nil, false, err
	}
	s.expires = time.Time{}
	if g.ttl > 0 {
		s.expires = time.Now().Add(g.ttl * 2 / 3)
	}
	return s.client, true, nil
}

// drop forgets c, unless somebody has logged in anew already.
func (s *session) drop(c *api.Client) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.client == c {
		s.client = nil
	}
}

// loginFailed tells a login that is refused, which the vault calls a bad request, from a vault that is away.
func loginFailed(err error) error {
	var answer *api.ResponseError
	if errors.As(err, &answer) && (answer.StatusCode == 400 || answer.StatusCode == 403 || answer.StatusCode == 404) {
		return fmt.Errorf("%w: %w", errLogin, err)
	}
	return err
}

// once does one thing as an identity. A token that the vault refuses is fetched anew, once: it may have been
// revoked, or be of a vault that was restored.
func (b *Bridge) once(ctx context.Context, who *session, do func(context.Context, *api.Client) error) error {
	for {
		c, fresh, err := b.open(ctx, who)
		if err != nil {
			return err
		}
		err = b.timed(ctx, func(ctx context.Context) error { return do(ctx, c) })
		if fresh || !isDenied(err) {
			return err
		}
		b.log.Info("the vault refused a token; logging in anew", "error", err)
		who.drop(c)
	}
}

func (b *Bridge) open(ctx context.Context, who *session) (c *api.Client, fresh bool, err error) {
	err = b.timed(ctx, func(ctx context.Context) error {
		c, fresh, err = who.opened(ctx, b.door)
		return err
	})
	return c, fresh, err
}

// errTimeout is the cause of a deadline of ours, not of the caller's.
var errTimeout = errors.New("the vault did not answer in time")

func (b *Bridge) timed(ctx context.Context, do func(context.Context) error) error {
	inner, cancel := context.WithTimeoutCause(ctx, b.o.Timeout, errTimeout)
	defer cancel()
	err := do(inner)
	if err != nil && context.Cause(inner) == errTimeout {
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return err
}
