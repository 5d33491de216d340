package vaultbridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// An application's token lives this long and is not renewed; its secret id is good for one login at once.
const (
	appTokenTTL = "10m"
	secretIDTTL = "60s"
)

// loginAs makes the application's policy and role what they should be, and logs in with a secret id that
// nobody else sees. What was changed by hand is put right on the way.
func (b *Bridge) loginAs(ctx context.Context, base *api.Client, app lain.AppName) (grant, error) {
	manager, _, err := b.manager.opened(ctx, b.door)
	if err != nil {
		return grant{}, err
	}
	g, err := b.loginThrough(ctx, manager, base, app)
	if isDenied(err) {
		b.manager.drop(manager)
		if manager, _, err = b.manager.opened(ctx, b.door); err == nil {
			g, err = b.loginThrough(ctx, manager, base, app)
		}
	}
	return g, err
}

func (b *Bridge) loginThrough(ctx context.Context, manager, base *api.Client, app lain.AppName) (grant, error) {
	ground, err := b.ground(app)
	if err != nil {
		return grant{}, err
	}
	name := b.roleName(app)
	if err := writeRole(ctx, manager, name, b.policy(ground)); err != nil {
		return grant{}, fmt.Errorf("role %s: %w", name, err)
	}
	role, err := field(manager.Logical().ReadWithContext(ctx, "auth/approle/role/"+name+"/role-id"))("role_id")
	if err != nil {
		return grant{}, err
	}
	secret, err := field(writeAt(ctx, "vault.secret-id.make", manager, "auth/approle/role/"+name+"/secret-id", nil))("secret_id")
	if err != nil {
		return grant{}, err
	}
	return granted(base.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": role, "secret_id": secret}))
}

func writeRole(ctx context.Context, manager *api.Client, name, policy string) error {
	if _, err := writeAt(ctx, "vault.policy.put", manager, "sys/policies/acl/"+name, map[string]any{"policy": policy}); err != nil {
		return err
	}
	_, err := writeAt(ctx, "vault.role.put", manager, "auth/approle/role/"+name, map[string]any{
		"token_policies": name, "token_no_default_policy": true, "token_ttl": appTokenTTL, "token_max_ttl": appTokenTTL,
		"bind_secret_id": true, "secret_id_num_uses": 1, "secret_id_ttl": secretIDTTL,
	})
	return err
}

func writeAt(ctx context.Context, point string, c *api.Client, path string, data map[string]any) (s *api.Secret, err error) {
	err = failpoint.Around(point, func() error {
		s, err = c.Logical().WriteWithContext(ctx, path, data)
		return err
	})
	return s, err
}

// field takes one text out of an answer.
func field(s *api.Secret, err error) func(name string) (string, error) {
	return func(name string) (string, error) {
		if err != nil {
			return "", err
		}
		if s == nil {
			return "", errors.New("the vault answered without " + name)
		}
		text, _ := s.Data[name].(string)
		if text == "" {
			return "", errors.New("the vault answered without " + name)
		}
		return text, nil
	}
}
