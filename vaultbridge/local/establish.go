package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/failpoint"
)

// establish brings what is inside Vault to what is wanted, makes a new login, tries it, and revokes all root
// tokens, this one last. Every step may be repeated. Only then is the mark written that says so.
func (i *instance) establish(ctx context.Context, root string) error {
	steps := []func(context.Context, string) error{
		i.enableAudit, i.enableSecrets, i.enableLogin, i.writePolicy, i.writeRole, i.makeLogin, i.revokeRoots,
	}
	for _, step := range steps {
		if err := step(ctx, root); err != nil {
			return err
		}
	}
	return failpoint.Around("vault.local.settled", func() error { return atomicfile.Write(i.settled(), []byte(wanted()+"\n"), 0o600) })
}

// has reports whether a table of Vault's (mounts, logins, audit devices) has an entry.
func (i *instance) has(ctx context.Context, root, table, name string) (bool, error) {
	var answer struct{ Data map[string]json.RawMessage }
	err := i.call(ctx, root, "GET", table, nil, &answer)
	_, found := answer.Data[name+"/"]
	return found, err
}

// enableAudit comes first, so that all later steps are in the trail.
func (i *instance) enableAudit(ctx context.Context, root string) error {
	if err := os.MkdirAll(auditDir(i.home), 0o700); err != nil {
		return err
	}
	if found, err := i.has(ctx, root, "sys/audit", auditName); err != nil || found {
		return err
	}
	return failpoint.Around("vault.local.audit", func() error {
		return i.call(ctx, root, "PUT", "sys/audit/"+auditName, auditWanted, nil)
	})
}

func (i *instance) enableSecrets(ctx context.Context, root string) error {
	found, err := i.has(ctx, root, "sys/mounts", mount)
	if err != nil {
		return err
	}
	if !found {
		err := failpoint.Around("vault.local.mount", func() error {
			return i.call(ctx, root, "POST", "sys/mounts/"+mount, mountWanted, nil)
		})
		if err != nil {
			return err
		}
	}
	return failpoint.Around("vault.local.mountconfig", func() error { return i.configureSecrets(ctx, root) })
}

// configureSecrets waits for the new mount, which refuses with 400 until it is ready.
func (i *instance) configureSecrets(ctx context.Context, root string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := i.call(ctx, root, "POST", mount+"/config", object{"max_versions": maxVersions}, nil)
		if !refused(err, 400) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func (i *instance) enableLogin(ctx context.Context, root string) error {
	if found, err := i.has(ctx, root, "sys/auth", "approle"); err != nil || found {
		return err
	}
	return failpoint.Around("vault.local.approle", func() error {
		return i.call(ctx, root, "POST", "sys/auth/approle", object{"type": "approle"}, nil)
	})
}

func (i *instance) writePolicy(ctx context.Context, root string) error {
	return failpoint.Around("vault.local.policy", func() error {
		return i.call(ctx, root, "PUT", "sys/policies/acl/"+roleName, object{"policy": policy}, nil)
	})
}

func (i *instance) writeRole(ctx context.Context, root string) error {
	return failpoint.Around("vault.local.role", func() error {
		return i.call(ctx, root, "POST", rolePath, roleWanted, nil)
	})
}

// revokeRoots also ends those that a server left which died in the middle of a repair.
func (i *instance) revokeRoots(ctx context.Context, root string) error {
	own, err := i.lookup(ctx, root, "auth/token/lookup-self", "GET", nil)
	if err != nil {
		return err
	}
	var list struct{ Data struct{ Keys []string } }
	if err := i.call(ctx, root, "LIST", "auth/token/accessors", nil, &list); err != nil {
		return err
	}
	for _, accessor := range list.Data.Keys {
		if accessor == own.Accessor {
			continue
		}
		if err := i.revokeRoot(ctx, root, accessor); err != nil {
			return err
		}
	}
	return failpoint.Around("vault.local.revoke", func() error {
		return i.call(ctx, root, "POST", "auth/token/revoke-self", nil, nil)
	})
}

type token struct {
	Accessor string
	Policies []string
}

func (i *instance) lookup(ctx context.Context, root, path, method string, body any) (token, error) {
	var answer struct{ Data token }
	err := i.call(ctx, root, method, path, body, &answer)
	return answer.Data, err
}

// revokeRoot revokes the token of an accessor if it is a root token. One that has expired by now is none.
func (i *instance) revokeRoot(ctx context.Context, root, accessor string) error {
	body := object{"accessor": accessor}
	found, err := i.lookup(ctx, root, "auth/token/lookup-accessor", "POST", body)
	if refused(err, 400, 403, 404) || err == nil && !slices.Contains(found.Policies, "root") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at a token: %w", err)
	}
	err = failpoint.Around("vault.local.revokeother", func() error {
		return i.call(ctx, root, "POST", "auth/token/revoke-accessor", body, nil)
	})
	return errors.Join(err)
}
