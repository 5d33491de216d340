package vaultbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// Login is how the server shows the vault who it is: exactly one of the three. Files are read at each login,
// so that what is renewed in them is used.
type Login struct {
	AppRoleFile string // JSON {"role_id": "...", "secret_id": "..."}, readable by root alone
	TokenFile   string // a token, which is renewed while it can be
	CertFile    string // PEM, for the certificate method; with KeyFile
	KeyFile     string
}

func (l Login) validate() error {
	given := 0
	for _, file := range []string{l.AppRoleFile, l.TokenFile, l.CertFile} {
		if file != "" {
			given++
		}
	}
	if given != 1 || (l.CertFile == "") != (l.KeyFile == "") {
		return errors.New("the vault login must be exactly one of: a file of role_id and secret_id, a token file, a certificate with its key")
	}
	return nil
}

// grant is a token and how long it is good for.
type grant struct {
	token string
	ttl   time.Duration // 0: for ever
}

// open logs in.
func (l Login) open(ctx context.Context, base *api.Client) (grant, error) {
	switch {
	case l.AppRoleFile != "":
		return l.appRole(ctx, base)
	case l.TokenFile != "":
		return l.token(ctx, base)
	}
	return granted(base.Logical().WriteWithContext(ctx, "auth/cert/login", nil))
}

func (l Login) appRole(ctx context.Context, base *api.Client) (grant, error) {
	data, err := os.ReadFile(l.AppRoleFile)
	if err != nil {
		return grant{}, fmt.Errorf("%w: %w", errLogin, err)
	}
	var id struct {
		Role   string `json:"role_id"`
		Secret string `json:"secret_id"`
	}
	if err := json.Unmarshal(data, &id); err != nil || id.Role == "" || id.Secret == "" {
		return grant{}, fmt.Errorf("%w: %s does not hold a role_id and a secret_id", errLogin, l.AppRoleFile)
	}
	return granted(base.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": id.Role, "secret_id": id.Secret}))
}

// token takes the file's, and renews it where the vault allows that: one that cannot be renewed is used as
// long as it lives.
func (l Login) token(ctx context.Context, base *api.Client) (grant, error) {
	data, err := os.ReadFile(l.TokenFile)
	if err != nil {
		return grant{}, fmt.Errorf("%w: %w", errLogin, err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return grant{}, fmt.Errorf("%w: %s does not hold one token", errLogin, l.TokenFile)
	}
	base.SetToken(token)
	self, err := base.Logical().ReadWithContext(ctx, "auth/token/lookup-self")
	if err != nil {
		return grant{}, err
	}
	g := grant{token: token}
	if renewable, _ := self.TokenIsRenewable(); !renewable {
		g.ttl, err = self.TokenTTL()
		return g, err
	}
	renewed, err := base.Logical().WriteWithContext(ctx, "auth/token/renew-self", nil)
	if err != nil {
		return grant{}, err
	}
	g.ttl, err = renewed.TokenTTL()
	return g, err
}

// granted reads the answer of a login.
func granted(s *api.Secret, err error) (grant, error) {
	if err != nil {
		return grant{}, err
	}
	if s == nil || s.Auth == nil || s.Auth.ClientToken == "" {
		return grant{}, errors.New("the vault answered the login without a token")
	}
	return grant{token: s.Auth.ClientToken, ttl: time.Duration(s.Auth.LeaseDuration) * time.Second}, nil
}
