package llb

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
)

// BuilderVersion changes when the same input would be built differently.
const BuilderVersion = 1

// DefaultInputs are the lock files whose content makes a new prepare image where the manifest names none.
var DefaultInputs = []string{
	"go.mod", "go.sum", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "requirements.txt", "poetry.lock",
	"Pipfile.lock", "Gemfile.lock", "Cargo.lock", "composer.lock",
}

// Key names what is built by what it is built from: the tree, the base images by content, the versions of secrets, and
// the sections.
func (g Graph) Key() string {
	m := g.Manifest
	key := struct {
		Version        int
		App            lain.AppName
		Tree           string
		Base, DestBase string
		Build          manifest.Build
		Release        *manifest.Release
		Test           *manifest.Test
		Bases, Secrets map[string]string `json:",omitempty"`
	}{BuilderVersion, g.App, g.Tree, g.Base.ID, g.DestBase.ID, m.Build, m.Release, m.Test, g.Dockerfile.bases(), g.Secrets}
	return hash(key)
}

// PrepareKey names a prepare image by what it is made from. Inputs are the contents of the prepare inputs,
// by path.
func (g Graph) PrepareKey(inputs map[string]string) string {
	p := g.Manifest.Build.Prepare
	return hash(struct {
		Version            int
		Cluster            lain.Cluster
		App                lain.AppName
		Base, Salt         string
		Script, Keep, Args []string
		Inputs             map[string]string
		Secrets            map[string]string `json:",omitempty"`
	}{BuilderVersion, g.Cluster, g.App, g.Base.ID, p.Version, p.Script, p.Keep, p.Args, inputs, g.Secrets})[:32]
}

// hash is the SHA-256 of a value's JSON, in which maps are sorted.
func hash(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // plain structs of strings and numbers
		data = []byte(err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
