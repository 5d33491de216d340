package lab

import (
	"crypto/sha256"
	_ "embed" // for the script
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

//go:embed swarm-lab.sh
var text []byte

// script returns the path of swarm-lab.sh, unpacked under its own hash: a node's first process runs it for
// as long as the node lives, so the file must not change below it.
var script = sync.OnceValues(func() (string, error) {
	path := filepath.Join(root, fmt.Sprintf("swarm-lab-%.6x.sh", sha256.Sum256(text)))
	if have, err := os.ReadFile(path); err == nil && string(have) == string(text) {
		return path, nil
	}
	return path, unpack(path)
})

// unpack writes the script beside its place and renames it there, since several runs may do so at once.
func unpack(path string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make the folder of the labs: %w", err)
	}
	f, err := os.CreateTemp(root, ".script")
	if err != nil {
		return fmt.Errorf("unpack the lab's script: %w", err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("unpack the lab's script: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("unpack the lab's script: %w", err)
	}
	return os.Rename(f.Name(), path)
}
