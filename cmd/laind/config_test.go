package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// loadWith reads a configuration file and flags as serve does.
func loadWith(t *testing.T, file string, args ...string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "laind.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var declared Config
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	declared.flags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return load(path, flags)
}

func TestFlagsWinOverTheFileAndTheFileOverDefaults(t *testing.T) {
	c, err := loadWith(t, "domain: apps.example.com\nssh-addr: :22\naddress-pool: [10.9.0.0/16]\ndrain-timeout: 5s\n", "--ssh-addr", ":2022", "--address-pool", "10.8.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	if c.Domain != "apps.example.com" || c.SSHAddr != ":2022" || c.RouterHTTPAddr != ":80" || c.DrainTimeout != 5*time.Second {
		t.Errorf("%+v", c)
	}
	if len(c.AddressPool) != 1 || c.AddressPool[0] != "10.8.0.0/16" {
		t.Errorf("address pool %v", c.AddressPool)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"a key that is not known", "domain: x\ndomian: y\n", "line 2: field domian not found"},
		{"a wrong type", "max-builds: many\n", "line 1"},
		{"a bad cluster id", "cluster: My-Cluster\n", "cluster id"},
		{"a relative folder", "data: here\n", "--data"},
		{"an address without a port", "ssh-addr: localhost\n", "--ssh-addr"},
		{"an address of https without a port", "router-https-addr: localhost\n", "--router-https-addr"},
		{"an address of HTTP/2 without a port", "router-http2-addr: localhost\n", "--router-http2-addr"},
		{"a relative folder of certificates", "cert-dir: here\n", "--cert-dir"},
		{"a pool that is no network", "address-pool: [10.0.0.1]\n", "--address-pool"},
	} {
		_, err := loadWith(t, c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAFileThatIsNamedMustBeThere(t *testing.T) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	if _, err := load("/nowhere/laind.yaml", flags); err == nil {
		t.Error("no error")
	}
}

func TestEmptyFile(t *testing.T) {
	if _, err := loadWith(t, ""); err != nil {
		t.Error(err)
	}
}

func TestHTTPSIsOffUnlessItHasAnAddress(t *testing.T) {
	off, err := loadWith(t, "data: /d\n")
	if err != nil || off.RouterHTTPSAddr != "" || off.httpsPort() != 0 || off.CertDir != "/d/certs" {
		t.Errorf("%+v %v", off, err)
	}
	on, err := loadWith(t, "router-https-addr: :8443\ncert-dir: /c\n")
	if err != nil || on.httpsPort() != 8443 || on.CertDir != "/c" {
		t.Errorf("%+v %v", on, err)
	}
	if ports, err := on.routerPorts(); err != nil || !slices.Equal(ports, []int{80, 8443}) || len(listens(on)) != len(listens(off))+1 {
		t.Errorf("ports %v, %v", ports, err)
	}
	if on.PublicHTTPSPort = 443; on.httpsPort() != 443 {
		t.Errorf("public port %d", on.httpsPort())
	}
}
