package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// recipe is part of every key: raise it when what goes into the images changes.
const recipe = "1"

// keyLabel is where an image carries the key of what it was made from.
const keyLabel = "lain.base.key"

// base is one image to be: how to make its root, and what names all that goes into it.
type base struct {
	name  string // file name of its tar
	tag   string
	parts []string // facts that together name the content
	env   []string // K=V of the image
	make  func(ctx context.Context, root string) error
}

// key names the content: equal keys, equal images.
func (b base) key() string {
	sum := sha256.Sum256([]byte(recipe + "\n" + b.name + "\n" + strings.Join(append(b.parts, b.env...), "\n")))
	return fmt.Sprintf("%x", sum[:6])
}

// find describes the base called name.
func find(name string, o options) (base, error) {
	if err := static(o.busybox); err != nil {
		return base{}, fmt.Errorf("%w (the package busybox-static has one; -busybox names it)", err)
	}
	box, err := fileSum(o.busybox)
	if err != nil {
		return base{}, err
	}
	switch name {
	case "golang":
		return golang(o, box)
	case "bare":
		return bare(o, box), nil
	case "testapp":
		return testapp(o, box)
	case "python":
		return python(o, box)
	case "node":
		return node(o, box)
	}
	return base{}, fmt.Errorf("there is no base called %q: choose among golang, bare, testapp, python and node", name)
}

// provide sees to it that the engine has the image, and says what it had to do.
func provide(ctx context.Context, o options, b base) (string, error) {
	if has(ctx, o.engine, b) {
		return "is there already", nil
	}
	tar := filepath.Join(o.cache, b.name+"-"+b.key()+".tar")
	made, err := keepTar(ctx, o, b, tar)
	if err != nil {
		return "", err
	}
	if made {
		return "made", load(ctx, o.engine, b, tar)
	}
	return "imported from " + tar, load(ctx, o.engine, b, tar)
}

// keepTar makes the tar where it is missing. Whoever makes it holds the cache's lock; others wait for it.
func keepTar(ctx context.Context, o options, b base, tar string) (made bool, err error) {
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return false, fmt.Errorf("make the cache: %w", err)
	}
	lock, err := os.Create(filepath.Join(o.cache, "lock"))
	if err != nil {
		return false, fmt.Errorf("lock the cache: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return false, fmt.Errorf("lock the cache: %w", err)
	}
	if _, err := os.Stat(tar); err == nil {
		return false, nil
	}
	if err := clear(o.cache, b.name); err != nil {
		return false, fmt.Errorf("clear the cache: %w", err)
	}
	return true, makeTar(ctx, o.cache, b, tar)
}

// clear takes away the base's older tars, and roots that a killed run left. The cache is locked.
func clear(cache, name string) error {
	var errs []error
	for _, pattern := range []string{name + "-????????????.tar", name + "-root-*"} {
		paths, err := filepath.Glob(filepath.Join(cache, pattern))
		errs = append(errs, err)
		for _, path := range paths {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// makeTar fills a root beside the tar and packs it.
func makeTar(ctx context.Context, cache string, b base, tar string) error {
	root, err := os.MkdirTemp(cache, b.name+"-root-")
	if err != nil {
		return fmt.Errorf("make a root: %w", err)
	}
	defer os.RemoveAll(root)
	if err := b.make(ctx, root); err != nil {
		return err
	}
	return pack(ctx, root, tar)
}

// has reports whether the engine's image of that tag was made from the same parts.
func has(ctx context.Context, engine string, b base) bool {
	out, err := exec.CommandContext(ctx, "docker", "-H", engine, "image", "inspect", "-f",
		`{{index .Config.Labels "`+keyLabel+`"}}`, b.tag).Output()
	return err == nil && strings.TrimSpace(string(out)) == b.key()
}

func load(ctx context.Context, engine string, b base, tar string) error {
	args := []string{"-H", engine, "import", "-c", "LABEL " + keyLabel + "=" + b.key()}
	for _, kv := range b.env {
		args = append(args, "-c", "ENV "+kv)
	}
	out, err := exec.CommandContext(ctx, "docker", append(args, tar, b.tag)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import into the engine: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
