package plan

import (
	"slices"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
)

// SecretNeeds are the procs of a manifest with no more than the secret files that they declare.
func SecretNeeds(m *manifest.Manifest) []lain.ProcSpec {
	var procs []lain.ProcSpec
	for _, p := range m.Procs {
		procs = append(procs, lain.ProcSpec{Name: p.Name, SecretFiles: secretFiles(p.SecretFiles), Bypass: p.SecretFilesBypass})
	}
	return procs
}

// Source says which versions of secrets and config a release gets.
type Source string

const (
	NewestSecrets Source = "newest"
	KeptSecrets   Source = "kept" // those of what serves: a scale or a restart brings nothing that was staged
	OldSecrets    Source = "old"  // those that the release had which is released again
)

// WhichSecrets decides by what a run does; nil is a push.
func WhichSecrets(c *lain.Change) Source {
	switch {
	case c == nil:
		return NewestSecrets
	case c.OldSecrets:
		return OldSecrets
	case c.Why == lain.WhyScale || c.Why == lain.WhyRestart:
		return KeptSecrets
	}
	return NewestSecrets
}

// pinnedAs is r with the secrets and config of serving, for the procs that both have.
func pinnedAs(r, serving lain.Release) lain.Release {
	secrets := map[lain.ProcName][]lain.SecretMount{}
	var config *lain.ConfigMount
	for _, p := range serving.Procs {
		secrets[p.Name], config = p.Secrets, p.Config
	}
	return Pinned(r, secrets, config)
}

// Pinned is the release with each proc's secrets and config as they were found for it.
func Pinned(r lain.Release, secrets map[lain.ProcName][]lain.SecretMount, config *lain.ConfigMount) lain.Release {
	procs := make([]lain.ProcSpec, len(r.Procs))
	for i, p := range r.Procs {
		p.Secrets, p.Config = secrets[p.Name], config
		procs[i] = p
	}
	r.Procs = procs
	return r
}

// AsksTheVault reports whether a release of these procs needs anything of the vault: config tells whether the
// application may have config values.
func AsksTheVault(procs []lain.ProcSpec, config bool) bool {
	for _, p := range procs {
		if len(p.SecretFiles) > 0 {
			return true
		}
	}
	return config
}

// HasSecrets reports whether containers of a release see anything of the vault.
func HasSecrets(r lain.Release) bool {
	return slices.ContainsFunc(r.Procs, func(p lain.ProcSpec) bool { return len(p.Secrets) > 0 || p.Config != nil })
}
