package certs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/failpoint"
)

// sweepAfter is how long the file of a pair outlives the last link to it: a handshake may just have found its
// name.
const sweepAfter = time.Minute

// Store is our folder of copies: pairs/HASH.pem, which never change, and hosts/HOST, links to them. It is open to
// one group, that of nginx's workers, which read it at each handshake. It is not safe for concurrent use.
type Store struct {
	Dir   string // absolute, ours alone
	Group int    // gid that may read; negative: root alone

	unused map[string]time.Time // since when nobody links to the file
}

func (s *Store) pairFile(hash string) string { return filepath.Join(s.Dir, "pairs", hash+".pem") }
func (s *Store) hostFile(host string) string { return filepath.Join(s.Dir, "hosts", host) }
func (s *Store) keptFile() string            { return filepath.Join(s.Dir, "kept.json") }

// Hosts is the folder of the links.
func (s *Store) Hosts() string { return filepath.Join(s.Dir, "hosts") }

// Prepare makes the folders. It may be called again.
func (s *Store) Prepare() error {
	for _, dir := range []string{s.Dir, filepath.Join(s.Dir, "pairs"), filepath.Join(s.Dir, "hosts")} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("folder of certificates: %w", err)
		}
		if err := s.share(dir, 0o710); err != nil {
			return fmt.Errorf("folder of certificates: %w", err)
		}
	}
	return nil
}

// share opens a file or folder to the group, and to nobody else.
func (s *Store) share(path string, mode fs.FileMode) error {
	if s.Group < 0 {
		return os.Chmod(path, mode&0o700)
	}
	return errors.Join(os.Chown(path, 0, s.Group), os.Chmod(path, mode))
}

// put writes the copy of a pair, unless it is there.
func (s *Store) put(p Pair) error {
	path := s.pairFile(p.Hash)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, p.PEM) {
		return s.share(path, 0o640)
	}
	err := failpoint.Around("router.certs.pair", func() error {
		return errors.Join(atomicfile.Write(path, p.PEM, 0o600), s.share(path, 0o640))
	})
	if err != nil {
		return fmt.Errorf("copy the certificate %q: %w", p.Name, err)
	}
	return nil
}

// get reads a copy back.
func (s *Store) get(name, hash string) (Pair, error) {
	data, err := os.ReadFile(s.pairFile(filepath.Base(hash)))
	if err != nil {
		return Pair{}, err
	}
	return Parse(name, data, data)
}

// keep remembers which copy each name has, over a restart of ours.
func (s *Store) keep(hashes map[string]string) error {
	if maps.Equal(hashes, s.kept()) {
		return nil
	}
	data, err := json.Marshal(hashes)
	if err == nil {
		err = failpoint.Around("router.certs.kept", func() error { return atomicfile.Write(s.keptFile(), data, 0o600) })
	}
	if err != nil {
		return fmt.Errorf("remember the certificates: %w", err)
	}
	return nil
}

// kept is what keep wrote; a file that is missing or damaged is an empty one.
func (s *Store) kept() map[string]string {
	hashes := map[string]string{}
	data, err := os.ReadFile(s.keptFile())
	if err != nil || json.Unmarshal(data, &hashes) != nil {
		return map[string]string{}
	}
	return hashes
}

// Publish makes the links exactly those that are wanted, each in one instant, and returns the hosts whose link
// is new or another one. Hosts must have passed conf's check, and the copies be there.
func (s *Store) Publish(want map[string]string) (changed []string, err error) {
	have, err := s.links()
	if err != nil {
		return nil, err
	}
	for _, host := range sortedNames(want) {
		if have[host] == want[host] {
			continue
		}
		if err := s.link(host, want[host]); err != nil {
			return changed, fmt.Errorf("publish the certificate of %s: %w", host, err)
		}
		changed = append(changed, host)
	}
	for host := range have {
		if _, ok := want[host]; !ok {
			err = errors.Join(err, failpoint.Around("router.certs.unlink", func() error { return os.Remove(s.hostFile(host)) }))
		}
	}
	return changed, err
}

func (s *Store) link(host, hash string) error {
	next := filepath.Join(s.Dir, "next")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return failpoint.Around("router.certs.link", func() error {
		if err := os.Symlink(filepath.Join("..", "pairs", hash+".pem"), next); err != nil {
			return err
		}
		return os.Rename(next, s.hostFile(host))
	})
}

// links are the hashes that hosts lead to now.
func (s *Store) links() (map[string]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.Dir, "hosts"))
	if err != nil {
		return nil, fmt.Errorf("read the published certificates: %w", err)
	}
	links := map[string]string{}
	for _, e := range entries {
		target, _ := os.Readlink(s.hostFile(e.Name()))
		links[e.Name()] = strings.TrimSuffix(filepath.Base(target), ".pem")
	}
	return links, nil
}

// sweep removes the copies that have been nobody's for a while: neither a host's nor one that is kept.
func (s *Store) sweep(keep map[string]bool, now time.Time) error {
	links, err := s.links()
	if err != nil {
		return err
	}
	used := maps.Clone(keep)
	for _, hash := range links {
		used[hash] = true
	}
	files, err := os.ReadDir(filepath.Join(s.Dir, "pairs"))
	if err != nil {
		return fmt.Errorf("read the copies of certificates: %w", err)
	}
	before := s.unused
	s.unused = map[string]time.Time{}
	for _, f := range files {
		if used[strings.TrimSuffix(f.Name(), ".pem")] {
			continue
		}
		since, known := before[f.Name()]
		if !known {
			since = now
		}
		if s.unused[f.Name()] = since; now.Sub(since) < sweepAfter {
			continue
		}
		err = errors.Join(err, failpoint.Around("router.certs.sweep", func() error {
			return os.Remove(filepath.Join(s.Dir, "pairs", f.Name()))
		}))
	}
	return err
}
