package vaultbridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/hashicorp/vault/api"

	"lain.internal/lain/lain/fault"
)

// The classes of trouble, for errors.Is. What a caller gets is a fault with a sentence for people.
var (
	ErrSealed   = errors.New("the vault is sealed")
	ErrGone     = errors.New("the vault does not answer")     // nobody listens, or the connection broke
	ErrSlow     = errors.New("the vault is slow")             // it did not answer within Options.Timeout
	ErrDenied   = errors.New("the vault refuses the server")  // the login, a right that it should have, or we its certificate
	ErrNotFound = errors.New("the vault has no such thing")   // never written, removed, or no longer kept
	ErrConflict = errors.New("it was changed in between")     // somebody wrote since it was read
	errLogin    = errors.New("the vault login does not work") // a kind of ErrDenied
)

// Unsettled reports whether a write may have happened although it failed: the vault was asked and gave no answer.
func Unsettled(err error) bool { return errors.Is(err, errUnsettled) }

var errUnsettled = errors.New("whether it was written is not known")

// explain makes a fault of what the vault, or the way to it, said. nil stays nil, faults stay what they are,
// and so does the end of the caller's own patience.
func (b *Bridge) explain(ctx context.Context, err error) error {
	var known *fault.Fault
	if err == nil || errors.As(err, &known) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("ask the vault: %w", context.Cause(ctx))
	}
	class := classify(err)
	cause := fmt.Errorf("%w: %w", class, err)
	switch class {
	case ErrSealed:
		return fault.Hide(fault.Unavailable, cause, "the vault is sealed").WithHint("An admin has to unseal it. What runs is not touched.")
	case ErrGone:
		return fault.Hide(fault.Unavailable, cause, "the vault does not answer").WithHint("Try again in a moment. What runs is not touched.")
	case ErrSlow:
		return fault.Hide(fault.Unavailable, cause, "the vault did not answer within %s", b.o.Timeout).
			WithHint("Try again in a moment. What runs is not touched.")
	case ErrDenied:
		if isUntrusted(err) {
			return fault.Hide(fault.Unavailable, cause, "the server does not trust the vault's certificate").
				WithHint("An admin has to look at the server's log and its vault settings.")
		}
		return fault.Hide(fault.Unavailable, cause, "the vault refuses the server's login or one of its rights").
			WithHint("An admin has to look at the server's log and its vault login.")
	case ErrNotFound:
		return fault.Hide(fault.NotFound, cause, "the vault has no such version")
	case ErrConflict:
		return fault.Hide(fault.Conflict, cause, "somebody else changed it at the same moment").
			WithHint("Look at its history, then say it again.")
	}
	return fmt.Errorf("ask the vault: %w", err)
}

// classify finds the class of an error; nil where it has none, or there is no error.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, class := range []error{ErrSealed, ErrGone, ErrSlow, ErrDenied, ErrNotFound, ErrConflict} {
		if errors.Is(err, class) {
			return class
		}
	}
	var answer *api.ResponseError
	var network net.Error
	switch {
	case errors.Is(err, errLogin), isUntrusted(err):
		return ErrDenied
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
		return ErrSlow
	case errors.As(err, &answer):
		return classOf(answer)
	case errors.As(err, &network), strings.Contains(err.Error(), "EOF"), strings.Contains(err.Error(), "connection reset"):
		return ErrGone
	}
	return nil
}

// classOf reads an answer of the vault. 412, 429, 472 and 473 are those of a standby or of one that has too
// much to do.
func classOf(answer *api.ResponseError) error {
	text := strings.Join(answer.Errors, " ")
	switch code := answer.StatusCode; {
	case strings.Contains(text, "Vault is sealed"), strings.Contains(text, "OpenBao is sealed"), code == 503 && strings.Contains(text, "sealed"):
		return ErrSealed
	case code == 400 && strings.Contains(text, "check-and-set"):
		return ErrConflict
	case code == 403:
		return ErrDenied
	case code == 404:
		return ErrNotFound
	case strings.Contains(text, "Upgrading from non-versioned"): // a mount that was made a moment ago
		return ErrGone
	case code == 412, code == 429, code == 472, code == 473, code == 500, code == 502, code == 503, code == 504:
		return ErrGone
	}
	return nil
}

// isUntrusted reports that it is not our vault that answers, or that we do not know it.
func isUntrusted(err error) bool {
	var cert *tls.CertificateVerificationError
	return errors.As(err, &cert)
}

func isDenied(err error) bool { return classify(err) == ErrDenied }

// notSent reports whether the vault has not done what it was asked: it said so, or was never reached.
func notSent(err error) bool {
	var dial *net.OpError
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode < 500 || classOf(answer) == ErrSealed
	}
	return errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, errLogin)
}
