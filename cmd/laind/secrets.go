package main

import (
	"context"

	"lain.internal/lain/lain"
	"lain.internal/lain/vaultbridge"
)

// secrets are the vault as pipeline and rollout see it: what brings versions to the engine, and what tells the
// values that must not be shown.
type secrets struct {
	*vaultbridge.Courier
	bridge *vaultbridge.Bridge
}

func (s secrets) Values(ctx context.Context, app lain.AppName, procs []lain.ProcSpec) ([]string, error) {
	return s.bridge.Values(ctx, app, procs)
}
