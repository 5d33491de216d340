package registry

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"github.com/distribution/distribution/v3/registry/auth"

	"lain.internal/lain/atomicfile"
)

// Credential is a name and its password.
type Credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// String hides the password from logs.
func (c Credential) String() string { return c.Username + ":***" }

// GoString hides it from %#v too.
func (c Credential) GoString() string { return c.String() }

// uploadSecret signs the state of unfinished uploads; it lasts as long as the credential, so that an upload
// outlives a restart.
func (c Credential) uploadSecret() string {
	mac := hmac.New(sha256.New, []byte(c.Password))
	mac.Write([]byte("upload state"))
	return hex.EncodeToString(mac.Sum(nil))
}

// loadCredential reads the credential of a file, or makes one.
func loadCredential(file string) (Credential, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeCredential(file)
	}
	if err != nil {
		return Credential{}, fmt.Errorf("read the credential: %w", err)
	}
	var c Credential
	if err := json.Unmarshal(data, &c); err != nil {
		return Credential{}, fmt.Errorf("the credential in %s cannot be read: %w", file, err)
	}
	if c.Username == "" || len(c.Password) < 16 {
		return Credential{}, fmt.Errorf("the credential in %s is not one: remove the file and a new one is made", file)
	}
	return c, nil
}

func makeCredential(file string) (Credential, error) {
	c := Credential{Username: "lain", Password: rand.Text()}
	data, err := json.Marshal(c)
	if err != nil {
		return Credential{}, err
	}
	return c, atomicfile.Write(file, data, 0o600)
}

// distribution finds its access controllers by name, in a table of the process.
const (
	authName   = "lain"
	authOption = "credential"
)

var registered = auth.Register(authName, newGate)

func newGate(options map[string]any) (auth.AccessController, error) {
	c, ok := options[authOption].(Credential)
	if !ok || c.Password == "" {
		return nil, errors.New("the registry has no credential")
	}
	return gate{c}, nil
}

// gate lets in whoever has the credential, for everything.
type gate struct{ credential Credential }

// Authorized compares in a time that tells nothing about either name or password.
func (g gate) Authorized(r *http.Request, _ ...auth.Access) (*auth.Grant, error) {
	name, password, _ := r.BasicAuth()
	if !same(name, g.credential.Username) || !same(password, g.credential.Password) {
		return nil, challenge{}
	}
	return &auth.Grant{User: auth.UserInfo{Name: name}}, nil
}

func same(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// challenge asks for the credential.
type challenge struct{}

func (challenge) Error() string { return "the registry needs its credential" }

// SetHeaders says which kind is wanted.
func (challenge) SetHeaders(_ *http.Request, w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="lain registry"`)
}
