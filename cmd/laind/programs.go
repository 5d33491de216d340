package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/doctor"
	"lain.internal/lain/router"
	"lain.internal/lain/runtime/network"
)

// errUnfit ends doctor with exit code 1 after it has said all itself.
var errUnfit = errors.New("this machine can't run the server yet")

// writeProgram replaces an executable unless it is the same already.
func writeProgram(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return atomicfile.Write(path, data, 0o755)
}

func splitAddr(addr string) (host, port string, err error) { return net.SplitHostPort(addr) }

// down stops nginx and opens the fence. Containers are the engine's and go on.
func down(ctx context.Context, c Config, log *slog.Logger) error {
	s := &server{c: c, log: log}
	fence, err := network.New(network.Options{Cluster: s.cluster(), Logger: log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return errors.Join(s.newRouter().Down(ctx), fence.Down(ctx), c.vaultDown(ctx, log))
}

// runDoctor prints every finding and fails when one of them must be mended.
func runDoctor(ctx context.Context, c Config, _ *slog.Logger) error {
	fit := true
	pool, err := c.firstPool()
	if err != nil {
		return err
	}
	findings := doctor.Check(ctx, doctor.Options{DataDir: c.Data, DockerHost: c.Engine, AddressPool: pool,
		Listen: listens(c)})
	findings = append(findings, certificates(c)...)
	for _, f := range findings {
		mark := "ok  "
		switch {
		case !f.OK && f.Optional:
			mark = "warn"
		case !f.OK:
			mark, fit = "FAIL", false
		}
		fmt.Printf("%s %s: %s\n", mark, f.Name, f.Sentence)
		if !f.OK && f.Remedy != "" {
			fmt.Printf("     %s\n", f.Remedy)
		}
	}
	if !fit {
		return errUnfit
	}
	return nil
}

// listens are the addresses that the server takes.
func listens(c Config) []string {
	return append([]string{c.SSHAddr, c.RegistryAddr, c.APIAddr}, c.routerAddrs()...)
}

// certificates looks at the folder of certificates, where there is TLS. A broken one is a warning: the others
// are served.
func certificates(c Config) []doctor.Finding {
	if c.RouterHTTPSAddr == "" {
		return nil
	}
	good, lines := router.CheckCertificates(c.CertDir, time.Now())
	findings := []doctor.Finding{{Name: "certificates", OK: good > 0, Optional: true, Sentence: fmt.Sprintf("%d can be used in %s", good, c.CertDir),
		Remedy: "Put a certificate there as NAME.crt, its chain behind it, and its key as NAME.key with mode 0600."}}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		findings = append(findings, doctor.Finding{Name: "certificate " + name, Optional: true, Sentence: lines[name]})
	}
	return findings
}
