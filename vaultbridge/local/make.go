package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lain.internal/lain/failpoint"
)

// make makes a new Vault beside the place where it will live, tries it, and moves it there. What a server that
// died left half made was never used by anybody and is thrown away.
func (v *Vault) make(ctx context.Context) error {
	m := newInstance(v.options, makingName)
	if err := errors.Join(m.discard(ctx), os.MkdirAll(filepath.Dir(m.auditLog()), 0o700)); err != nil {
		return err
	}
	if err := m.run(ctx); err != nil {
		return err
	}
	if err := m.initialise(ctx); err != nil {
		return err
	}
	if err := m.stop(ctx); err != nil {
		return err
	}
	err := failpoint.Around("vault.local.live", func() error { return os.Rename(m.home, v.live.home) })
	if err != nil {
		return err
	}
	return syncDir(v.options.Dir)
}

func (i *instance) discard(ctx context.Context) error {
	if err := i.stop(ctx); err != nil {
		return err
	}
	return failpoint.Around("vault.local.discard", func() error { return os.RemoveAll(i.home) })
}

// initialise gives an empty Vault its key and its set-up.
func (i *instance) initialise(ctx context.Context) error {
	var made struct {
		Keys      []string `json:"keys_base64"`
		RootToken string   `json:"root_token"`
	}
	err := failpoint.Around("vault.local.init", func() error {
		return i.call(ctx, "", "PUT", "sys/init", map[string]int{"secret_shares": 1, "secret_threshold": 1}, &made)
	})
	if err != nil {
		return err
	}
	if len(made.Keys) != 1 || made.RootToken == "" {
		return fmt.Errorf("vault was initialised with %d keys, want 1", len(made.Keys))
	}
	if err := i.writeKey(made.Keys[0]); err != nil {
		return err
	}
	if err := i.unseal(ctx); err != nil {
		return err
	}
	return i.establish(ctx, made.RootToken)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
