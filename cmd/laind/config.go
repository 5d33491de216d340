package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"lain.internal/lain/builder"
	"lain.internal/lain/lain"
)

// defaultConfig is read when it exists and no other file is named.
const defaultConfig = "/etc/lain/laind.yaml"

// Config is every setting of laind. The keys of laind.yaml are the names of the flags; a flag wins over the
// file, the file over the default.
type Config struct {
	Cluster         string        `yaml:"cluster"`
	Data            string        `yaml:"data"`
	Run             string        `yaml:"run"`
	Engine          string        `yaml:"engine"`
	SSHAddr         string        `yaml:"ssh-addr"`
	RouterHTTPAddr  string        `yaml:"router-http-addr"`
	RouterHTTPSAddr string        `yaml:"router-https-addr"`
	RouterHTTP2Addr string        `yaml:"router-http2-addr"`
	CertDir         string        `yaml:"cert-dir"`
	PublicHTTPPort  int           `yaml:"public-http-port"`
	PublicHTTPSPort int           `yaml:"public-https-port"`
	RegistryAddr    string        `yaml:"registry-addr"`
	APIAddr         string        `yaml:"api-addr"`
	Domain          string        `yaml:"domain"`
	AdminKey        string        `yaml:"admin-key"`
	AddressPool     []string      `yaml:"address-pool"`
	SwarmListenAddr string        `yaml:"swarm-listen-addr"`
	GitUID          uint32        `yaml:"git-uid"`
	BuildKit        string        `yaml:"buildkit"`
	BuildKitTLS     string        `yaml:"buildkit-tls"`
	MaxBuilds       int           `yaml:"max-builds"`
	MaxPushBytes    int64         `yaml:"max-push-bytes"`
	MaxTreeBytes    int64         `yaml:"max-tree-bytes"`
	DefaultMemory   int64         `yaml:"default-memory"`
	KeepReleases    int           `yaml:"keep-releases"`
	BuildCache      int64         `yaml:"build-cache"`
	MinFree         int64         `yaml:"min-free"`
	DrainTimeout    time.Duration `yaml:"drain-timeout"`
	Vault           VaultConfig   `yaml:",inline"`

	file string // that of --config; "": the default's, if there is one
}

// flags declares every setting with its default.
func (c *Config) flags(f *pflag.FlagSet) {
	f.StringVar(&c.Cluster, "cluster", "lain", "id of the cluster; several can share a machine")
	f.StringVar(&c.Data, "data", "/var/lib/lain", "folder of all that must be kept")
	f.StringVar(&c.Run, "run", "/run/lain", "folder of sockets and pid files")
	f.StringVar(&c.Engine, "engine", "", "Docker Engine (unix:///run/docker.sock); empty: DOCKER_HOST or the default")
	f.StringVar(&c.SSHAddr, "ssh-addr", ":2222", "where git push and verbs come in")
	f.StringVar(&c.RouterHTTPAddr, "router-http-addr", ":80", "where nginx takes requests")
	f.StringVar(&c.RouterHTTPSAddr, "router-https-addr", "", "where nginx takes requests over TLS; empty: nowhere")
	f.StringVar(&c.RouterHTTP2Addr, "router-http2-addr", "", "where nginx speaks HTTP/2 without TLS, for gRPC inside; empty: nowhere")
	f.StringVar(&c.CertDir, "cert-dir", "", "folder of certificates, as NAME.crt and NAME.key; empty: certs in the data folder")
	f.IntVar(&c.PublicHTTPSPort, "public-https-port", 0, "the same for https; 0: that of router-https-addr")
	f.IntVar(&c.PublicHTTPPort, "public-http-port", 0, "port in the URLs that are shown; 0: that of router-http-addr")
	f.StringVar(&c.RegistryAddr, "registry-addr", "127.0.0.1:5000", "where the engine pulls images")
	f.StringVar(&c.APIAddr, "api-addr", "127.0.0.1:7070", "where /healthz and /metrics answer")
	f.StringVar(&c.Domain, "domain", "lain.localhost", "applications are at APP.DOMAIN")
	f.StringVar(&c.AdminKey, "admin-key", "", "authorized_keys file of the first admin; read only while there are no keys")
	f.StringSliceVar(&c.AddressPool, "address-pool", nil, "networks for applications, as 10.99.0.0/16; empty: the engine's own")
	f.StringVar(&c.SwarmListenAddr, "swarm-listen-addr", "127.0.0.1:2377", "where a Swarm that laind makes listens; its data path takes the same address")
	f.Uint32Var(&c.GitUID, "git-uid", 64646, "user and group id that git's programs run as; needs no entry in passwd")
	f.StringVar(&c.BuildKit, "buildkit", "", "a buildkitd that builds, as unix:///path or tcp://host:port; empty: the engine does")
	f.StringVar(&c.BuildKitTLS, "buildkit-tls", "", "folder with ca.pem, cert.pem and key.pem for a buildkitd at tcp://")
	f.IntVar(&c.MaxBuilds, "max-builds", 2, "builds at once")
	f.Int64Var(&c.MaxPushBytes, "max-push-bytes", 2<<30, "the largest push that is taken, in bytes of its pack")
	f.Int64Var(&c.MaxTreeBytes, "max-tree-bytes", 1<<30, "the largest commit that is built, in bytes of all its files together")
	f.Int64Var(&c.DefaultMemory, "default-memory", 256<<20, "memory limit of an instance without memory: in its lain.yaml, in bytes")
	f.IntVar(&c.KeepReleases, "keep-releases", 10, "releases of an application that served whose images are kept, to go back to")
	f.Int64Var(&c.BuildCache, "build-cache", 10<<30, "the largest build cache of the engine, in bytes; 0: it is left alone")
	f.Int64Var(&c.MinFree, "min-free", 0, "pushes are refused while less is free on a disk, in bytes; 0: 2 % of the disk, at least 512 MiB")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", 60*time.Second, "how long SIGTERM waits for runs")
	c.Vault.flags(f)
}

// load reads the settings: defaults, then the file, then the flags that were given.
func load(path string, given *pflag.FlagSet) (Config, error) {
	var c Config
	fresh := pflag.NewFlagSet("defaults", pflag.ContinueOnError)
	c.flags(fresh)
	if err := c.read(path); err != nil {
		return c, err
	}
	var err error
	given.Visit(func(f *pflag.Flag) {
		if target := fresh.Lookup(f.Name); target != nil {
			err = errors.Join(err, copyFlag(target, f))
		}
	})
	if err != nil {
		return c, err
	}
	return c, c.validate()
}

// copyFlag sets target to what f holds; a list replaces the file's.
func copyFlag(target, f *pflag.Flag) error {
	from, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return target.Value.Set(f.Value.String())
	}
	return target.Value.(pflag.SliceValue).Replace(from.GetSlice())
}

// read decodes laind.yaml strictly: a key that is not known is an error that names its line.
func (c *Config) read(path string) error {
	named := path != ""
	c.file = path
	if !named {
		path = defaultConfig
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (c *Config) validate() error {
	if _, err := lain.ParseCluster(c.Cluster); err != nil {
		return err
	}
	for name, dir := range map[string]string{"data": c.Data, "run": c.Run, "cert-dir": c.CertDir} {
		if !filepath.IsAbs(dir) && (name != "cert-dir" || dir != "") {
			return fmt.Errorf("--%s %q must be an absolute path", name, dir)
		}
	}
	for name, addr := range map[string]string{"ssh-addr": c.SSHAddr, "router-http-addr": c.RouterHTTPAddr, "router-https-addr": c.RouterHTTPSAddr, "router-http2-addr": c.RouterHTTP2Addr,
		"registry-addr": c.RegistryAddr, "api-addr": c.APIAddr, "swarm-listen-addr": c.SwarmListenAddr} {
		if addr == "" && (name == "router-https-addr" || name == "router-http2-addr") {
			continue
		}
		if _, err := port(addr); err != nil {
			return fmt.Errorf("--%s %q must be HOST:PORT or :PORT", name, addr)
		}
	}
	if c.KeepReleases < 1 {
		return fmt.Errorf("--keep-releases %d must be at least 1", c.KeepReleases)
	}
	if c.BuildCache < 0 || c.MinFree < 0 {
		return errors.New("--build-cache and --min-free must not be negative")
	}
	if err := c.buildKit().Check(); err != nil {
		return fmt.Errorf("--buildkit: %w", err)
	}
	if c.CertDir == "" {
		c.CertDir = filepath.Join(c.Data, "certs")
	}
	_, err := c.firstPool()
	return errors.Join(err, c.Vault.validate())
}

// buildKit is the buildkitd that builds, if there is one.
func (c Config) buildKit() builder.BuildKit {
	return builder.BuildKit{Addr: c.BuildKit, TLS: c.BuildKitTLS}
}

// firstPool is the first network of --address-pool; zero for the engine's own.
func (c Config) firstPool() (netip.Prefix, error) {
	if len(c.AddressPool) == 0 {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(c.AddressPool[0])
	if err != nil {
		return p, fmt.Errorf("--address-pool %q must be a network as 10.99.0.0/16", c.AddressPool[0])
	}
	return p, nil
}

// port is the number behind the last colon of an address.
func port(addr string) (int, error) {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(p, 10, 16)
	return int(n), err
}

// routerPorts are those that nginx listens on.
func (c Config) routerPorts() ([]int, error) {
	var all []int
	for _, addr := range c.routerAddrs() {
		n, err := port(addr)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// routerAddrs are the addresses that nginx listens on.
func (c Config) routerAddrs() []string {
	return slices.DeleteFunc([]string{c.RouterHTTPAddr, c.RouterHTTPSAddr, c.RouterHTTP2Addr}, func(a string) bool { return a == "" })
}

// httpsPort is the port of the https URLs that people see.
func (c Config) httpsPort() int {
	if c.PublicHTTPSPort != 0 {
		return c.PublicHTTPSPort
	}
	n, _ := port(c.RouterHTTPSAddr)
	return n
}

// httpPort is the port of the URLs that people see.
func (c Config) httpPort() int {
	if c.PublicHTTPPort != 0 {
		return c.PublicHTTPPort
	}
	n, _ := port(c.RouterHTTPAddr)
	return n
}
