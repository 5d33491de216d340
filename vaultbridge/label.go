package vaultbridge

import (
	"strconv"

	"lain.internal/lain/lain"
)

// The labels of an engine secret beside those of the engine package. They say what it is for, and never what is
// in it.
const (
	PathLabel    = "lain.path"
	ScopeLabel   = "lain.scope"
	VersionLabel = "lain.version"
	uidLabel     = "lain.uid"
	gidLabel     = "lain.gid"
	modeLabel    = "lain.mode" // octal
)

func fileLabels(m lain.SecretMount) map[string]string {
	return map[string]string{
		PathLabel: string(m.Path), ScopeLabel: string(m.Scope), VersionLabel: strconv.Itoa(m.Version),
		uidLabel: strconv.Itoa(m.UID), gidLabel: strconv.Itoa(m.GID), modeLabel: strconv.FormatUint(uint64(m.Mode), 8),
	}
}

func configLabels(version int) map[string]string {
	return map[string]string{PathLabel: string(lain.ConfigPath), VersionLabel: strconv.Itoa(version)}
}

// ownership reads owner and mode into m; false when the labels do not say them.
func ownership(labels map[string]string, m *lain.SecretMount) bool {
	uid, err1 := strconv.Atoi(labels[uidLabel])
	gid, err2 := strconv.Atoi(labels[gidLabel])
	mode, err3 := strconv.ParseUint(labels[modeLabel], 8, 9)
	m.UID, m.GID, m.Mode = uid, gid, uint32(mode)
	return err1 == nil && err2 == nil && err3 == nil
}
