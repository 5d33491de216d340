package vaultbridge

import (
	"context"

	"github.com/hashicorp/vault/api"

	"lain.internal/lain/lain"
)

// Destroy removes all that the vault has of an application, every version, and its role and policy. It may be
// repeated, and is to be when it failed. Engine secrets are Courier.Collect's.
func (b *Bridge) Destroy(ctx context.Context, app lain.AppName) error {
	p, err := b.configPlace(app)
	if err != nil {
		return err
	}
	err = b.walk(ctx, b.manager, app, func(_ lain.SecretScope, p place) error { return b.purge(ctx, b.metadata(p)) })
	if err != nil {
		return err
	}
	name := b.roleName(app)
	for _, path := range []string{b.metadata(p), "auth/approle/role/" + name, "sys/policies/acl/" + name} {
		if err := b.purge(ctx, path); err != nil {
			return err
		}
	}
	b.forget(app)
	return nil
}

func (b *Bridge) purge(ctx context.Context, path string) error {
	return b.write(ctx, "vault.destroy", b.manager, func(ctx context.Context, c *api.Client) error {
		_, err := c.Logical().DeleteWithContext(ctx, path)
		return err
	})
}
