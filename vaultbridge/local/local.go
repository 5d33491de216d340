// Package local runs the machine's own Vault: it starts lain-vault, initialises it once, unseals it at every
// start, keeps it running, and makes the login with which this server manages secrets.
//
// The process outlives us, as nginx does, and is adopted by the next server. Its folder is made whole or not at
// all: a new Vault is initialised, set up and tried in a folder beside, which gets its name only then; so a kill
// at any instant leaves either no Vault or one that works. The unseal key lies in a file beside the data,
// readable to root alone: whoever owns the folder owns the secrets. There is no root token at rest. When the
// set-up has to be changed or mended, one is made from the unseal key, used, and revoked.
//
// What secrets there are, and who gets them, is not decided here.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
)

// Options say which program, and where it lives.
type Options struct {
	Binary string // lain-vault, absolute
	Dir    string // absolute; ours alone: data, unseal key, login, audit trail, log. Made with mode 0700
	RunDir string // absolute; pid files and sockets go into a folder "vault" of their own there
	Logger *slog.Logger
}

const maxSocketPath = 107 // bytes, unix(7)

func (o Options) check() error {
	if !filepath.IsAbs(o.Dir) || !filepath.IsAbs(o.RunDir) || !filepath.IsAbs(o.Binary) {
		return errors.New("local vault: program and folders need absolute paths")
	}
	if socket := o.socket(); len(socket) > maxSocketPath {
		return fault.New(fault.Invalid, "the path of Vault's socket, %s, is longer than %d bytes: choose a shorter run folder", socket, maxSocketPath)
	}
	return nil
}

func (o Options) run() string    { return filepath.Join(o.RunDir, "vault") }
func (o Options) socket() string { return filepath.Join(o.run(), "making.sock") } // the longest of ours

// Vault is the machine's own Vault. It is safe for use by many goroutines.
type Vault struct {
	options Options
	log     *slog.Logger

	mu   sync.Mutex // held while the process is looked at, started, stopped or held still
	live *instance
}

// Start brings Vault up and returns when it is unsealed and the login works. A running one is adopted; on the
// first start of all a new one is made, which takes a second or two. It may be repeated after any failure.
// Whoever starts it calls Run. Errors for the operator are faults; ctx bounds the whole of it.
func Start(ctx context.Context, o Options) (*Vault, error) {
	v, err := Find(o)
	if err != nil {
		return nil, err
	}
	return v, v.Start(ctx)
}

// Start brings a Vault up that was found; see the function of that name.
func (v *Vault) Start(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.prepare(ctx); err != nil {
		return err
	}
	if err := v.live.up(ctx); err != nil {
		return fmt.Errorf("start vault: %w", err)
	}
	if err := v.live.settle(ctx); err != nil {
		return fmt.Errorf("set up vault: %w", err)
	}
	return nil
}

// Down stops the Vault that lives in these folders, whoever started it: requests that are under way have five
// seconds. It returns nil when none runs. Nothing is removed.
func Down(ctx context.Context, o Options) error {
	v, err := Find(o)
	if err != nil {
		return err
	}
	return v.Down(ctx)
}

// Find is the Vault that lives in these folders, or will, as it is: nothing is started or changed.
func Find(o Options) (*Vault, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Vault{options: o, log: o.Logger, live: newInstance(o, liveName)}, nil
}

// Address is where it answers, as Vault's API client takes it: unix:///...
func (v *Vault) Address() string { return "unix://" + v.live.socket }

// Credentials is the file, JSON, with role_id and secret_id for auth/approle/login. The login may use the mount
// lain/ (KV version 2), and policies and AppRoles whose names begin with "lain-"; nothing else. The file is
// written anew when the login is; read it for each login.
func (v *Vault) Credentials() string { return v.live.credentials() }

// Down stops the process, and one that a dead server left in the middle of its making. Run has to have ended.
func (v *Vault) Down(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(v.live.stop(ctx), newInstance(v.options, makingName).stop(ctx))
}

// Quiesce holds Vault still, so that its folder can be copied as a kill would leave it, until release is called.
// Requests wait meanwhile, so be quick. A server that dies before release is mended by the next Start.
func (v *Vault) Quiesce(ctx context.Context) (release func(), err error) {
	v.mu.Lock()
	if err := v.live.pause(ctx); err != nil {
		v.mu.Unlock()
		return nil, err
	}
	return sync.OnceFunc(func() {
		defer v.mu.Unlock()
		if err := v.live.resume(); err != nil {
			v.log.Error("vault was held still and cannot be let go", "error", err)
		}
	}), nil
}

// prepare makes the folders and, where there is none yet, a Vault.
func (v *Vault) prepare(ctx context.Context) error {
	for _, dir := range []string{v.options.Dir, v.options.run()} {
		err := failpoint.Around("vault.local.folder", func() error { return errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o700)) })
		if err != nil {
			return fmt.Errorf("folder of vault: %w", err)
		}
	}
	if _, err := os.Stat(v.live.home); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	v.log.Info("making a new vault", "folder", v.live.home)
	if err := v.make(ctx); err != nil {
		return fmt.Errorf("make a vault: %w", err)
	}
	return nil
}
