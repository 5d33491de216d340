package local

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
)

// What every Vault of ours is to be like inside. A change of these values is carried out at the next start.
const (
	mount       = "lain"       // KV version 2
	maxVersions = 20           // of a secret
	roleName    = "laind"      // not below "lain-", so that the login cannot change itself
	auditName   = "file"       // of the audit device
	auditFile   = "audit/file" // relative to the Vault's folder, so that the folder may be moved
)

// policy is what the login may do: all secrets below the mount, and the policies and AppRoles of applications.
const policy = `# Written by laind, which puts it back.
path "lain/data/*"     { capabilities = ["create", "read", "update", "patch", "delete"] }
path "lain/metadata/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
path "lain/delete/*"   { capabilities = ["create", "update"] }
path "lain/undelete/*" { capabilities = ["create", "update"] }
path "lain/destroy/*"  { capabilities = ["create", "update"] }
path "sys/policies/acl/lain-*"   { capabilities = ["create", "read", "update", "delete"] }
path "auth/approle/role/lain-*"  { capabilities = ["create", "read", "update", "delete", "list"] }
path "auth/token/lookup-self"    { capabilities = ["read"] }
path "auth/token/renew-self"     { capabilities = ["update"] }
path "auth/token/revoke-self"    { capabilities = ["update"] }
`

type object = map[string]any

var (
	auditWanted = object{"type": "file", "options": object{"file_path": auditFile, "mode": "0600"}}
	mountWanted = object{"type": "kv", "options": object{"version": "2"}}
	roleWanted  = object{"token_policies": []string{roleName}, "token_no_default_policy": true, "token_ttl": "1h", "token_max_ttl": "24h",
		"bind_secret_id": true, "secret_id_num_uses": 0, "secret_id_ttl": 0}
)

// wanted is a name for all of the above.
func wanted() string {
	all, err := json.Marshal([]any{policy, mount, maxVersions, roleName, auditName, auditWanted, mountWanted, roleWanted})
	if err != nil {
		panic(err) // constants
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

func auditDir(home string) string { return filepath.Dir(filepath.Join(home, auditFile)) }
