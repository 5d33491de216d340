package local

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/failpoint"
)

const rolePath = "auth/approle/role/" + roleName

// login is the file Credentials names.
type login struct {
	RoleID   string `json:"role_id"`
	SecretID string `json:"secret_id"`
}

// makeLogin writes a new login, tries it, and only then takes the older ones away.
func (i *instance) makeLogin(ctx context.Context, root string) error {
	var role, secret struct {
		Data struct {
			login
			Accessor string `json:"secret_id_accessor"`
		}
	}
	if err := i.call(ctx, root, "GET", rolePath+"/role-id", nil, &role); err != nil {
		return err
	}
	err := failpoint.Around("vault.local.secretid", func() error {
		return i.call(ctx, root, "POST", rolePath+"/secret-id", object{}, &secret)
	})
	if err != nil {
		return err
	}
	if err := i.writeLogin(login{RoleID: role.Data.RoleID, SecretID: secret.Data.SecretID}); err != nil {
		return err
	}
	if err := i.tryLogin(ctx); err != nil {
		return err
	}
	return i.forgetLogins(ctx, root, secret.Data.Accessor)
}

func (i *instance) writeLogin(l login) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return failpoint.Around("vault.local.credentials", func() error {
		return atomicfile.Write(i.credentials(), append(data, '\n'), 0o600)
	})
}

// tryLogin logs in as the client room will, and out again.
func (i *instance) tryLogin(ctx context.Context) error {
	data, err := os.ReadFile(i.credentials())
	if err != nil {
		return err
	}
	var l login
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("read %s: %w", i.credentials(), err)
	}
	var answer struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	err = failpoint.Around("vault.local.login", func() error {
		return i.call(ctx, "", "POST", "auth/approle/login", l, &answer)
	})
	if err != nil {
		return err
	}
	return failpoint.Around("vault.local.logout", func() error {
		return i.call(ctx, answer.Auth.Token, "POST", "auth/token/revoke-self", nil, nil)
	})
}

// forgetLogins takes away all secret ids but one.
func (i *instance) forgetLogins(ctx context.Context, root, keep string) error {
	var list struct{ Data struct{ Keys []string } }
	if err := i.call(ctx, root, "LIST", rolePath+"/secret-id", nil, &list); err != nil {
		return err
	}
	for _, accessor := range list.Data.Keys {
		if accessor == keep {
			continue
		}
		err := failpoint.Around("vault.local.forgetlogin", func() error {
			return i.call(ctx, root, "POST", rolePath+"/secret-id-accessor/destroy", object{"secret_id_accessor": accessor}, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
