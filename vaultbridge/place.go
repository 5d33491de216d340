package vaultbridge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"lain.internal/lain/lain"
)

var mountPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$`)

// place is an entry of the KV engine, below the mount: <cluster>/<app>/config, or
// <cluster>/<app>/files/<scope>/<hash of the path>. Nothing of a path's own bytes is in it: they stand in the
// entry, and the hash has one length whatever the storage below the vault allows.
type place string

// ground is what all entries of an application lie below, with a slash at the end. An application's name holds
// neither slash nor wildcard, so that no subtree reaches another.
func (d *door) ground(app lain.AppName) (place, error) {
	if _, err := lain.ParseAppName(string(app)); err != nil {
		return "", err
	}
	return place(fmt.Sprintf("%s/%s/", d.o.Cluster, app)), nil
}

func (d *door) configPlace(app lain.AppName) (place, error) {
	g, err := d.ground(app)
	return g + "config", err
}

func (d *door) filePlace(app lain.AppName, scope lain.SecretScope, path lain.SecretPath) (place, error) {
	g, err := d.ground(app)
	if err != nil {
		return "", err
	}
	if err := checkScope(scope); err != nil {
		return "", err
	}
	if err := path.Validate(); err != nil {
		return "", err
	}
	return g + place("files/"+string(scope)+"/"+digest(string(path))), nil
}

func checkScope(scope lain.SecretScope) error {
	if scope == lain.EveryProc {
		return nil
	}
	_, err := lain.ParseProcName(string(scope))
	return err
}

// The paths of the KV v2 engine for an entry.
func (d *door) data(p place) string     { return d.o.Mount + "/data/" + string(p) }
func (d *door) metadata(p place) string { return d.o.Mount + "/metadata/" + string(p) }
func (d *door) delete(p place) string   { return d.o.Mount + "/delete/" + string(p) }
func (d *door) undelete(p place) string { return d.o.Mount + "/undelete/" + string(p) }

// roleName names an application's policy and its role. A cluster's id holds no "-", so no two are the same.
func (d *door) roleName(app lain.AppName) string { return fmt.Sprintf("lain-%s-%s", d.o.Cluster, app) }

// policy lets an application's role read what is below its ground, and nothing else.
func (d *door) policy(g place) string {
	return fmt.Sprintf("path %q { capabilities = [\"read\"] }\npath %q { capabilities = [\"read\", \"list\"] }\n",
		d.data(g)+"*", d.metadata(g)+"*")
}

// engineName is what the engine calls a version of an entry. The time it was written is in the hash: an
// application that was destroyed and made again, or a vault that was restored, counts its versions from an
// older number, and an engine secret of that name would hold the wrong value.
func (d *door) engineName(p place, version int, written time.Time) string {
	return fmt.Sprintf("l-%s-v%d", digest(string(p), written.UTC().Format(time.RFC3339Nano)), version)
}

// digest is 128 bits of SHA-256 over the parts, in hex.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
