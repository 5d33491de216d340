package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"lain.internal/lain/vaultbridge"
	"lain.internal/lain/vaultbridge/local"
)

// VaultConfig says which Vault is used, and how laind shows it who it is.
type VaultConfig struct {
	Addr        string `yaml:"vault-addr"`
	Namespace   string `yaml:"vault-namespace"`
	Mount       string `yaml:"vault-mount"`
	CAFile      string `yaml:"vault-ca-file"`
	AppRoleFile string `yaml:"vault-approle-file"`
	TokenFile   string `yaml:"vault-token-file"`
	CertFile    string `yaml:"vault-cert-file"`
	KeyFile     string `yaml:"vault-key-file"`
}

func (c *VaultConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.Addr, "vault-addr", "", "a Vault or OpenBao (https://host:8200); empty: laind runs one of its own")
	f.StringVar(&c.Namespace, "vault-namespace", "", "namespace in it")
	f.StringVar(&c.Mount, "vault-mount", vaultbridge.DefaultMount, "its KV version 2 mount that is ours")
	f.StringVar(&c.CAFile, "vault-ca-file", "", "certificates to trust for vault-addr; empty: the system's")
	f.StringVar(&c.AppRoleFile, "vault-approle-file", "", "login at vault-addr: JSON with role_id and secret_id")
	f.StringVar(&c.TokenFile, "vault-token-file", "", "login at vault-addr: a token")
	f.StringVar(&c.CertFile, "vault-cert-file", "", "login at vault-addr: a client certificate, with vault-key-file")
	f.StringVar(&c.KeyFile, "vault-key-file", "", "the key of vault-cert-file")
}

func (c VaultConfig) login() vaultbridge.Login {
	return vaultbridge.Login{AppRoleFile: c.AppRoleFile, TokenFile: c.TokenFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
}

func (c VaultConfig) validate() error {
	if c.Addr == "" && c.login() != (vaultbridge.Login{}) {
		return errors.New("a vault login is for --vault-addr: the vault that laind runs itself needs none")
	}
	return nil
}

// vaultPatience is how long a run waits for a vault that is sealed or gone before it is refused.
const vaultPatience = 15 * time.Second

// vaultFirst is how long the start of the server waits for its own vault.
const vaultFirst = 20 * time.Second

// vaultPause is the longest between two attempts to bring the vault up.
const vaultPause = 30 * time.Second

// startVault connects the vault: the machine's own, which is brought up first, or the one that was named. One that
// is away does not keep the server from starting.
func (s *server) startVault(ctx context.Context) error {
	address, login := s.c.Vault.Addr, s.c.Vault.login()
	if address == "" {
		own, err := s.ownVault(ctx)
		if err != nil {
			return err
		}
		address, login = own.Address(), vaultbridge.Login{AppRoleFile: own.Credentials()}
	}
	bridge, err := vaultbridge.Open(vaultbridge.Options{Address: address, Namespace: s.c.Vault.Namespace, CAFile: s.c.Vault.CAFile,
		Login: login, Mount: s.c.Vault.Mount, Cluster: s.cluster(), Logger: s.log})
	if err != nil {
		return err
	}
	s.vault, s.secrets = bridge, secrets{vaultbridge.NewCourier(bridge, s.engine).WithPatience(vaultPatience), bridge}
	s.onStop("vault client", func(context.Context) error { bridge.Close(); return nil })
	return nil
}

func (s *server) ownVault(ctx context.Context) (*local.Vault, error) {
	o, err := s.c.vaultOptions(s.log)
	if err != nil {
		return nil, err
	}
	if s.own, err = local.Find(o); err != nil {
		return nil, err
	}
	first, cancel := context.WithTimeout(ctx, vaultFirst)
	defer cancel()
	if err := s.own.Start(first); err != nil {
		s.log.Error("the vault does not come up; the server starts without it, and goes on trying", "error", err)
	}
	s.loop("vault", s.keepVault)
	return s.own, nil
}

// keepVault brings the vault up, however long that takes, and keeps it so. Meanwhile everything that needs no
// secrets goes on.
func (s *server) keepVault(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, vaultPause) {
		err := s.own.Start(ctx) // of one that is up: a look
		if err == nil {
			return s.own.Run(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		s.log.Warn("the vault does not come up yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (c Config) vaultOptions(log *slog.Logger) (local.Options, error) {
	binary, err := beside("lain-vault")
	if err != nil {
		return local.Options{}, fmt.Errorf("%w; or name another with --vault-addr", err)
	}
	return local.Options{Binary: binary, Dir: filepath.Join(c.Data, "vault"), RunDir: c.Run, Logger: log}, nil
}

// findVault is the vault of our own as it is, nil where there is none.
func (c Config) findVault(log *slog.Logger) (*local.Vault, error) {
	if _, err := os.Stat(filepath.Join(c.Data, "vault")); c.Vault.Addr != "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	o, err := c.vaultOptions(log)
	if err != nil {
		return nil, err
	}
	return local.Find(o)
}

// vaultDown stops the vault of our own, if we have one.
func (c Config) vaultDown(ctx context.Context, log *slog.Logger) error {
	v, err := c.findVault(log)
	if err != nil || v == nil {
		return err
	}
	return v.Down(ctx)
}
