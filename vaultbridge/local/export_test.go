package local

import (
	"context"
	"syscall"
)

// What tests of the running thing need to see and to break.

const (
	MaxVersions = maxVersions
	AuditFile   = auditFile
)

func (v *Vault) Home() string     { return v.live.home }
func (v *Vault) KeyFile() string  { return v.live.keyFile() }
func (v *Vault) Settled() string  { return v.live.settled() }
func (v *Vault) AuditLog() string { return v.live.auditLog() }

func (v *Vault) PID() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.live.child == nil {
		return 0
	}
	return v.live.child.PID()
}

func (v *Vault) Signal(sig syscall.Signal) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.live.child.Signal(sig)
}

// GenerateRoot is for tests that do what only root may; revoke it.
func (v *Vault) GenerateRoot(ctx context.Context) (string, error) { return v.live.generateRoot(ctx) }

func (v *Vault) Call(ctx context.Context, token, method, path string, body, out any) error {
	return v.live.call(ctx, token, method, path, body, out)
}

func (v *Vault) Rotate(limit int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.live.rotate(limit)
}

func (v *Vault) Sealed(ctx context.Context) (bool, error) {
	s, err := v.live.status(ctx)
	return s.Sealed, err
}

func Refused(err error, codes ...int) bool { return refused(err, codes...) }
