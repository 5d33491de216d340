package main

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/audit"
	auditfile "github.com/hashicorp/vault/builtin/audit/file"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/command/server"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"lain.internal/lain/vaultbridge/server/durable"
)

// open makes a core, sealed, on the storage of this folder, and what opens its audit file anew.
//
// There is no cache in front of the storage: the kernel's is enough for one client, and its memory is given
// back. Memory is locked by harden, without what Vault's own way would load besides.
func open(log hclog.Logger) (*vault.Core, func(), error) {
	storage, err := durable.Open(storageDir, tempDir, log)
	if err != nil {
		return nil, nil, fmt.Errorf("open storage: %w", err)
	}
	config := &vault.CoreConfig{
		Physical: storage, StorageType: "file", DisableCache: true, DisableMlock: true,
		BuiltinRegistry:    builtins{},
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
		AuditBackends:      map[string]audit.Factory{"file": auditfile.Factory},
		RawConfig:          &server.Config{SharedConfig: &configutil.SharedConfig{}},
		Logger:             log, LogLevel: "warn",
	}
	core, err := vault.NewCore(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make Vault's core: %w", err)
	}
	return core, func() { reopen(config, log) }, nil
}

// reopen runs what the core has registered for its audit files.
func reopen(config *vault.CoreConfig, log hclog.Logger) {
	config.ReloadFuncsLock.RLock()
	defer config.ReloadFuncsLock.RUnlock()
	for name, reloads := range *config.ReloadFuncs {
		if !strings.HasPrefix(name, "audit_file|") {
			continue
		}
		for _, reload := range reloads {
			if err := reload(); err != nil {
				log.Error("the audit file cannot be opened anew", "error", err)
			}
		}
	}
}

// builtins tells the core which plugins are built in: the two of open, and none that would be run as a program.
type builtins struct{}

func (builtins) Keys(kind consts.PluginType) []string {
	switch kind {
	case consts.PluginTypeSecrets:
		return []string{"kv"}
	case consts.PluginTypeCredential:
		return []string{"approle"}
	}
	return nil
}

func (b builtins) Contains(name string, kind consts.PluginType) bool {
	_, found := b.Get(name, kind)
	return found
}

func (builtins) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	factories := map[consts.PluginType]map[string]logical.Factory{
		consts.PluginTypeSecrets:    {"kv": kv.Factory},
		consts.PluginTypeCredential: {"approle": approle.Factory},
	}
	f, found := factories[kind][name]
	return func() (any, error) { return f, nil }, found
}

func (b builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, b.Contains(name, kind)
}

func (builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
