package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"lain.internal/lain/lain/fault"
)

const (
	minPassphrase = 12      // characters: everything is in the file, and whoever has it may guess at leisure
	maxKeyFile    = 1 << 20 // bytes
	maxWorkFactor = 20      // of a passphrase, as a power of two: what a hostile file may cost, 1 GiB and some seconds
)

// Lock says who can open an archive: recipients (age's public keys), or a passphrase, not both.
type Lock struct {
	Recipients     []string // age1...
	RecipientsFile string   // one a line, # begins a comment; "": none
	PassphraseFile string   // its first line; "": none
}

// Empty reports that nobody could open it.
func (l Lock) Empty() bool {
	return len(l.Recipients) == 0 && l.RecipientsFile == "" && l.PassphraseFile == ""
}

// Close gives a writer that encrypts to w. Its Close ends the encryption and leaves w open; without it the file
// is one that was cut.
func (l Lock) Close(w io.Writer) (io.WriteCloser, error) {
	recipients, err := l.recipients()
	if err != nil {
		return nil, err
	}
	return age.Encrypt(w, recipients...)
}

func (l Lock) recipients() ([]age.Recipient, error) {
	public := len(l.Recipients) > 0 || l.RecipientsFile != ""
	switch {
	case public && l.PassphraseFile != "":
		return nil, fault.New(fault.Invalid, "a backup is for recipients or for a passphrase, not for both")
	case public:
		return l.public()
	case l.PassphraseFile == "":
		return nil, fault.New(fault.Invalid, "a backup holds every secret, so it is written encrypted only").
			WithHint("Give --recipient age1..., --recipients-file FILE or --passphrase-file FILE.")
	}
	passphrase, err := readPassphrase(l.PassphraseFile)
	if err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(passphrase)
	return []age.Recipient{r}, err
}

func (l Lock) public() ([]age.Recipient, error) {
	text := strings.Join(l.Recipients, "\n")
	if l.RecipientsFile != "" {
		data, err := readKeyFile(l.RecipientsFile)
		if err != nil {
			return nil, err
		}
		text += "\n" + data
	}
	recipients, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, fault.Hide(fault.Invalid, err, "a recipient of the backup is no public key of age").
			WithHint("One looks like age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudhk5uwqfzr6as; age-keygen makes a pair.")
	}
	return recipients, nil
}

// Key opens an archive: a file of identities (age's secret keys), or of a passphrase.
type Key struct {
	IdentityFile   string // AGE-SECRET-KEY-1..., one a line, # begins a comment; "": none
	PassphraseFile string // its first line; "": none
}

// Open gives a reader that decrypts r. Whatever it gives was written by somebody who knew a recipient or the
// passphrase; only its io.EOF says that nothing was cut off.
func (k Key) Open(r io.Reader) (io.Reader, error) {
	identities, err := k.identities()
	if err != nil {
		return nil, err
	}
	in, err := age.Decrypt(r, identities...)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return nil, fault.Hide(fault.Denied, err, "the backup was made for another key or passphrase")
	}
	if err != nil {
		return nil, fault.Hide(fault.Invalid, err, "this is no backup of lain, or it is damaged")
	}
	return in, nil
}

func (k Key) identities() ([]age.Identity, error) {
	switch {
	case (k.IdentityFile == "") == (k.PassphraseFile == ""):
		return nil, fault.New(fault.Invalid, "a backup is opened by one key").
			WithHint("Give --identity FILE or --passphrase-file FILE.")
	case k.PassphraseFile != "":
		passphrase, err := readPassphrase(k.PassphraseFile)
		if err != nil {
			return nil, err
		}
		i, err := age.NewScryptIdentity(passphrase)
		if err != nil {
			return nil, err
		}
		i.SetMaxWorkFactor(maxWorkFactor)
		return []age.Identity{i}, nil
	}
	text, err := readSecretFile(k.IdentityFile)
	if err != nil {
		return nil, err
	}
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s holds no secret key of age", k.IdentityFile) // the cause could show a part of it
	}
	return identities, nil
}

func readPassphrase(path string) (string, error) {
	text, err := readSecretFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimSuffix(line, "\r")
	if len([]rune(line)) < minPassphrase {
		return "", fault.New(fault.Invalid, "the passphrase in %s is shorter than %d characters", path, minPassphrase)
	}
	return line, nil
}

// readSecretFile refuses a file that others than its owner can read.
func readSecretFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fault.New(fault.Invalid, "%s can be read by others", path).WithHint("chmod 600 %s", path)
	}
	return readKeyFile(path)
}

func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "there is no file %s", path)
	}
	if err != nil {
		return "", fault.Hide(fault.Invalid, err, "%s cannot be read", path)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil || len(data) > maxKeyFile {
		return "", fault.Hide(fault.Invalid, errors.Join(err, fmt.Errorf("%d bytes", len(data))), "%s is no file of keys", path)
	}
	return string(data), nil
}
