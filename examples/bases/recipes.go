package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// certificates is where Debian and Ubuntu keep the bundle, and where Go programs look for it.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

func bare(o options, box string) base {
	return base{
		name: "bare", tag: "lain/bare:1",
		parts: []string{box, certSum()},
		env:   []string{"PATH=/usr/local/bin:/bin"},
		make:  func(ctx context.Context, root string) error { return furnish(ctx, root, o.busybox) },
	}
}

func testapp(o options, box string) (base, error) {
	if o.testapp == "" {
		return base{}, errors.New("say with -testapp where the static test application is")
	}
	if err := static(o.testapp); err != nil {
		return base{}, fmt.Errorf("%w (build it with CGO_ENABLED=0)", err)
	}
	app, err := fileSum(o.testapp)
	b := bare(o, box)
	b.name, b.tag, b.parts = "testapp", "lain/testapp:1", append(b.parts, app)
	furnish := b.make
	b.make = func(ctx context.Context, root string) error {
		return errors.Join(furnish(ctx, root), copyFile(o.testapp, filepath.Join(root, "bin/testapp"), 0o755))
	}
	return b, err
}

// furnish makes what every base has: busybox under the names of its applets, accounts, certificates, /tmp.
func furnish(ctx context.Context, root, busybox string) error {
	for _, dir := range []string{"bin", "etc/ssl/certs", "root", "usr/local/bin", "usr/bin", "var", "proc", "sys", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		os.Mkdir(filepath.Join(root, "tmp"), 0o777), os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky), os.Chmod(root, 0o755),
		os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"), 0o644),
		os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nnogroup:x:65534:\n"), 0o644),
		copyFile(certificates, filepath.Join(root, certificates), 0o644),
		copyFile(busybox, filepath.Join(root, "bin/busybox"), 0o755),
		linkApplets(ctx, busybox, filepath.Join(root, "bin")))
}

func linkApplets(ctx context.Context, busybox, bin string) error {
	out, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("ask busybox for its applets: %w", err)
	}
	for _, applet := range strings.Fields(string(out)) {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

func certSum() string {
	sum, err := fileSum(certificates)
	if err != nil {
		return "no certificates" // making the image says why
	}
	return sum
}

// static refuses a program that needs a dynamic loader, which the images do not have.
func static(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is not there or no program: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not a static program", path)
		}
	}
	return nil
}
