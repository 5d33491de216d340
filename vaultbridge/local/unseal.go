package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
)

// writeKey keeps the unseal key, base64, for root alone. It is on disk when writeKey returns.
func (i *instance) writeKey(key string) error {
	return failpoint.Around("vault.local.key", func() error { return atomicfile.Write(i.keyFile(), []byte(key+"\n"), 0o600) })
}

func (i *instance) readKey() (string, error) {
	data, err := os.ReadFile(i.keyFile())
	if errors.Is(err, os.ErrNotExist) {
		return "", fault.Hide(fault.Unavailable, err,
			"Vault's unseal key %s is gone: put it back from a backup, without it no secret can be read", i.keyFile())
	}
	return strings.TrimSpace(string(data)), err
}

// unseal opens a sealed Vault with the key that is kept, and does nothing to one that is open.
func (i *instance) unseal(ctx context.Context) error {
	now, err := i.status(ctx)
	if err != nil || now.Initialized && !now.Sealed {
		return err
	}
	if !now.Initialized {
		return fault.New(fault.Unavailable, "Vault's data in %s is gone: put it back from a backup", i.home)
	}
	key, err := i.readKey()
	if err != nil {
		return err
	}
	err = failpoint.Around("vault.local.unseal", func() error {
		return i.call(ctx, "", "PUT", "sys/unseal", map[string]string{"key": key}, &now)
	})
	switch {
	case refused(err, 400):
		return fault.Hide(fault.Unavailable, err, "Vault does not take the unseal key in %s: put back the one of this data", i.keyFile())
	case err != nil:
		return fmt.Errorf("unseal: %w", err)
	case now.Sealed:
		return fmt.Errorf("vault is still sealed")
	}
	return nil
}
