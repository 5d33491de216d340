package vaultbridge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"lain.internal/lain/lain"
)

// The defaults of Options.
const (
	DefaultMount    = "lain"
	DefaultTimeout  = 5 * time.Second
	DefaultPatience = 3 * time.Second
)

// keptVersions is how many versions of an entry the vault keeps.
const keptVersions = 20

// Options say where the vault is and who we are.
type Options struct {
	Address   string        // unix:///path, https://host:port, or http://host:port on loopback only
	Namespace string        // of a Vault that has them; ""
	CAFile    string        // certificates to trust for https; "": the system's
	Login     Login         // the management login
	Mount     string        // of the KV v2 engine; "": DefaultMount
	Cluster   lain.Cluster  // everything is below it
	Timeout   time.Duration // of one request; 0: DefaultTimeout
	Patience  time.Duration // how long to wait for a vault that is sealed or gone; 0: DefaultPatience, negative: not at all
	Logger    *slog.Logger  // nil: nobody is told of logins that are made anew
}

// Bridge is a connection to the vault. It is safe for concurrent use.
type Bridge struct {
	*door
	patience time.Duration
}

// door is what all copies of a Bridge share.
type door struct {
	o       Options
	base    *api.Client // without a token
	close   func()
	log     *slog.Logger
	manager *session
	mu      sync.Mutex // guards apps
	apps    map[lain.AppName]*session
}

// Open prepares a connection; it does not speak to the vault yet, so that a server starts while the vault is
// away. The caller closes it.
func Open(o Options) (*Bridge, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	base, stop, err := dial(o)
	if err != nil {
		return nil, fmt.Errorf("vault at %s: %w", o.Address, err)
	}
	d := &door{o: o, base: base, close: stop, log: o.Logger, apps: map[lain.AppName]*session{}}
	d.manager = newSession(o.Login.open)
	return &Bridge{door: d, patience: o.Patience}, nil
}

func (o *Options) fill() error {
	if o.Mount == "" {
		o.Mount = DefaultMount
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	if _, err := lain.ParseCluster(string(o.Cluster)); err != nil {
		return err
	}
	if !mountPattern.MatchString(o.Mount) {
		return fmt.Errorf("%q is not the name of a mount: use letters, digits, _ and -", o.Mount)
	}
	return o.Login.validate()
}

// Close ends the connections. Tokens are left to expire.
func (b *Bridge) Close() { b.close() }

// WithPatience is the same connection, waiting for a vault that is sealed or gone as long as patience says.
func (b *Bridge) WithPatience(patience time.Duration) *Bridge {
	return &Bridge{door: b.door, patience: patience}
}

// Health is nil when the vault is unsealed and our login works; otherwise a fault of one of the classes. It
// does not wait.
func (b *Bridge) Health(ctx context.Context) error {
	return b.WithPatience(-1).read(ctx, b.manager, func(ctx context.Context, c *api.Client) error {
		_, err := c.Logical().ReadWithContext(ctx, "auth/token/lookup-self")
		return err
	})
}

// app is the session of an application.
func (b *Bridge) app(app lain.AppName) *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.apps[app]
	if s == nil {
		s = newSession(func(ctx context.Context, base *api.Client) (grant, error) { return b.loginAs(ctx, base, app) })
		b.apps[app] = s
	}
	return s
}

func (b *Bridge) forget(app lain.AppName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.apps, app)
}
