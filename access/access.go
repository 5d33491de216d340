package access

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

// Admin is the role that may do everything.
const Admin Role = "admin"

// Role is what a person may be.
type Role string

// Account is a person's record. Key: people/<name>.
type Account struct {
	Name    lain.Person `json:"name"`
	Role    Role        `json:"role"`
	Created time.Time   `json:"created"`
}

// Key is an SSH key's record. Key: keys/<fingerprint>, in URL-safe base64 and without "SHA256:".
type Key struct {
	Person      lain.Person `json:"person"`
	Fingerprint string      `json:"fingerprint"` // "SHA256:...", as ssh-keygen -l shows it
	Line        string      `json:"line"`        // "ssh-ed25519 AAAA...", without a comment
	Comment     string      `json:"comment,omitempty"`
	Added       time.Time   `json:"added"`
}

// Store is the people and their keys. It is safe for concurrent use. Errors that are a person's to read
// are faults.
type Store struct {
	store  *state.Store
	people state.Kind[Account]
	keys   state.Kind[Key]
	now    func() time.Time
}

// Open makes the store over the records.
func Open(s *state.Store) *Store {
	return &Store{store: s, people: state.Of[Account](s, lain.PeoplePrefix), keys: state.Of[Key](s, lain.KeysPrefix), now: time.Now}
}

// Person finds out whose key it is. A key that nobody has is a fault of kind NotFound.
func (s *Store) Person(ctx context.Context, key ssh.PublicKey) (lain.Person, error) {
	fingerprint := ssh.FingerprintSHA256(key)
	item, err := s.keys.Get(ctx, recordKey(fingerprint))
	if errors.Is(err, state.ErrNotFound) || err == nil && item.Value.Fingerprint != fingerprint {
		return "", fault.New(fault.NotFound, "nobody here has the key %s", fingerprint)
	}
	if err != nil {
		return "", fmt.Errorf("find the key %s: %w", fingerprint, err)
	}
	return item.Value.Person, nil
}

// AddKey gives a person a key, and makes the person when it is their first. A key that somebody has
// already is a conflict, unless it is the same person's: then nothing changes.
func (s *Store) AddKey(ctx context.Context, person lain.Person, line string) (fingerprint string, err error) {
	if _, err := lain.ParsePerson(string(person)); err != nil {
		return "", fault.New(fault.Invalid, "%s", err)
	}
	public, comment, err := ParseAuthorizedKey(line)
	if err != nil {
		return "", err
	}
	k := Key{Person: person, Fingerprint: ssh.FingerprintSHA256(public), Comment: comment, Added: s.now().UTC(),
		Line: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))}
	return k.Fingerprint, s.add(ctx, k)
}

func (s *Store) add(ctx context.Context, k Key) error {
	err := s.account(ctx, k.Person)
	if err == nil {
		_, err = s.keys.Create(ctx, recordKey(k.Fingerprint), k)
	}
	if !errors.Is(err, state.ErrExists) {
		return err
	}
	item, err := s.keys.Get(ctx, recordKey(k.Fingerprint))
	if err != nil {
		return fmt.Errorf("add the key %s: %w", k.Fingerprint, err)
	}
	if item.Value.Person != k.Person {
		return fault.New(fault.Conflict, "the key %s belongs to %s already: each person needs a key of their own", k.Fingerprint, item.Value.Person)
	}
	return nil
}

// account makes a person's record if there is none.
func (s *Store) account(ctx context.Context, person lain.Person) error {
	_, err := s.people.Create(ctx, string(person), Account{Name: person, Role: Admin, Created: s.now().UTC()})
	if errors.Is(err, state.ErrExists) {
		return nil
	}
	return err
}

// List gives every key, by person and then by age.
func (s *Store) List(ctx context.Context) ([]Key, error) {
	items, _, err := s.keys.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list the keys: %w", err)
	}
	keys := make([]Key, 0, len(items))
	for _, item := range items {
		keys = append(keys, item.Value)
	}
	slices.SortStableFunc(keys, func(a, b Key) int {
		if c := strings.Compare(string(a.Person), string(b.Person)); c != 0 {
			return c
		}
		return a.Added.Compare(b.Added)
	})
	return keys, nil
}

// Remove takes a key away, named by its fingerprint. It is out at once: the SSH server asks for each
// session. The last key of all cannot be removed, for then nobody could get in any more.
func (s *Store) Remove(ctx context.Context, fingerprint string) error {
	for {
		err := s.tryRemove(ctx, fingerprint)
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// tryRemove removes the key on condition that another admin's key stays: of two people who remove each
// other's at once, one fails.
func (s *Store) tryRemove(ctx context.Context, fingerprint string) error {
	items, _, err := s.keys.List(ctx, "")
	if err != nil {
		return fmt.Errorf("remove the key %s: %w", fingerprint, err)
	}
	is := func(i state.Item[Key]) bool { return i.Value.Fingerprint == fingerprint }
	gone := slices.IndexFunc(items, is)
	if gone < 0 {
		return fault.New(fault.NotFound, "there is no key %s", clip(fingerprint))
	}
	stays := slices.IndexFunc(items, func(i state.Item[Key]) bool { return !is(i) })
	if stays < 0 {
		return fault.New(fault.Conflict, "%s is the last key of the last admin: add another one first", fingerprint)
	}
	tx := s.store.Begin("access.remove")
	s.keys.UnchangedIn(tx, items[gone].Key, items[gone].Revision)
	s.keys.UnchangedIn(tx, items[stays].Key, items[stays].Revision)
	s.keys.DeleteIn(tx, items[gone].Key)
	_, err = tx.Commit(ctx)
	return err
}

// Bootstrap gives the keys of an authorized_keys file to the first admin, when there are no keys at all
// yet, and reports whether it did. Lines that are empty or comments are passed over; any other line must
// be a key without options.
func (s *Store) Bootstrap(ctx context.Context, admin lain.Person, authorizedKeysFile string) (bool, error) {
	if keys, err := s.List(ctx); err != nil || len(keys) > 0 {
		return false, err
	}
	lines, err := readLines(authorizedKeysFile)
	if err != nil {
		return false, fault.Hide(fault.Invalid, err, "the first admin's keys cannot be read from %s", authorizedKeysFile)
	}
	for _, l := range lines {
		if _, _, err := ParseAuthorizedKey(l.text); err != nil {
			return false, fault.Of(err).At(authorizedKeysFile, l.number, 0, "")
		}
	}
	if len(lines) == 0 {
		return false, fault.New(fault.Invalid, "there is no key in %s: put the first admin's public key there", authorizedKeysFile)
	}
	for _, l := range lines {
		if _, err := s.AddKey(ctx, admin, l.text); err != nil {
			return false, err
		}
	}
	return true, nil
}

type line struct {
	number int
	text   string
}

func readLines(file string) (lines []line, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		text := strings.TrimSpace(scanner.Text())
		if text != "" && text[0] != '#' {
			lines = append(lines, line{n, text})
		}
	}
	return lines, scanner.Err()
}
