package local

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"lain.internal/lain/failpoint"
)

// settle makes sure that the login works and that the set-up is what this version of the server wants, and
// repairs it otherwise.
func (i *instance) settle(ctx context.Context) error {
	if mark, err := os.ReadFile(i.settled()); err != nil || strings.TrimSpace(string(mark)) != wanted() {
		i.options.Logger.Info("vault's set-up is not finished or of another version", "folder", i.home)
		return i.repair(ctx)
	}
	err := i.tryLogin(ctx)
	if errors.Is(err, os.ErrNotExist) || isSyntax(err) || refused(err, 400, 403) {
		i.options.Logger.Warn("vault's login does not work any more: making a new one", "error", err)
		return i.repair(ctx)
	}
	return err
}

func isSyntax(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind)
}

// repair makes a root token from the unseal key and sets everything up again. The mark is taken away first: as
// long as it is away, there may be a root token, and the next start will be here again.
func (i *instance) repair(ctx context.Context) error {
	err := failpoint.Around("vault.local.unsettle", func() error { return os.Remove(i.settled()) })
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syncDir(i.home); err != nil {
		return err
	}
	root, err := i.generateRoot(ctx)
	if err != nil {
		return fmt.Errorf("make a root token: %w", err)
	}
	return i.establish(ctx, root)
}

// generateRoot follows Vault's own way to a new root token; an attempt that was left half done is given up.
func (i *instance) generateRoot(ctx context.Context) (string, error) {
	key, err := i.readKey()
	if err != nil {
		return "", err
	}
	var attempt struct{ Nonce, OTP string }
	var made struct {
		Token string `json:"encoded_token"`
	}
	err = failpoint.Around("vault.local.generateroot", func() error {
		return errors.Join(
			i.call(ctx, "", "DELETE", "sys/generate-root/attempt", nil, nil),
			i.call(ctx, "", "PUT", "sys/generate-root/attempt", object{}, &attempt),
			i.call(ctx, "", "PUT", "sys/generate-root/update", object{"key": key, "nonce": attempt.Nonce}, &made))
	})
	if err != nil {
		return "", err
	}
	return decodeRoot(made.Token, attempt.OTP)
}

// decodeRoot takes the one-time pad off the token.
func decodeRoot(encoded, otp string) (string, error) {
	padded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(padded) != len(otp) || otp == "" {
		return "", errors.New("vault's answer has an unknown form")
	}
	subtle.XORBytes(padded, padded, []byte(otp))
	return string(padded), nil
}
