package api

import (
	"fmt"
	"io"
	"net"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// maxKey bounds a public key on standard input, in bytes.
const maxKey = 16 << 10

func whoami(c *call) error {
	return c.answer(identity{c.session.Person, c.session.Fingerprint}, func(w io.Writer) {
		fmt.Fprintf(w, "%s (%s)\n", c.session.Person, c.session.Fingerprint)
	})
}

func setup(c *call) error {
	host, _, _ := net.SplitHostPort(c.session.Local.String())
	keys := c.HostKeys()
	return c.answer(door{host, c.SSHPort, keys}, func(w io.Writer) {
		fmt.Fprintf(w, `# Lain, cluster %s. Put this into ~/.ssh/config; then a remote is lain:APP and a verb is: ssh lain VERB
Host lain
    HostName %s
    Port %d
    User lain
    ControlMaster auto
    ControlPath ~/.ssh/lain-%%C
    ControlPersist 60s
# The host key: %s
`, c.Cluster, host, c.SSHPort, strings.Join(keys, " "))
	})
}

func keysAdd(c *call) error {
	person := c.session.Person
	if len(c.args) > 0 {
		var err error
		if person, err = lain.ParsePerson(c.args[0]); err != nil {
			return fault.New(fault.Invalid, "%w", err)
		}
	}
	data, err := io.ReadAll(io.LimitReader(c.session.Stdin, maxKey+1))
	if err != nil {
		return fault.New(fault.Invalid, "the public key on standard input could not be read: %w", err)
	}
	if len(data) > maxKey {
		return wrongArgument(c, "what came on standard input is too long for a public key")
	}
	fingerprint, err := c.Keys.AddKey(c, person, string(data))
	if err != nil {
		return err
	}
	return c.answer(identity{person, fingerprint}, func(w io.Writer) {
		fmt.Fprintf(w, "%s gets in by %s.\n", person, fingerprint)
	})
}

func keysList(c *call) error {
	keys, err := c.Keys.List(c)
	if err != nil {
		return err
	}
	return c.answer(keys, func(w io.Writer) {
		rows(w, "PERSON FINGERPRINT TYPE ADDED COMMENT", func(row func(...any)) {
			for _, k := range keys {
				row(k.Person, k.Fingerprint, strings.Fields(k.Line + " -")[0], age(c.Now(), k.Added), dash(k.Comment))
			}
		})
	})
}

func keysRm(c *call) error {
	if err := c.Keys.Remove(c, c.args[0]); err != nil {
		return err
	}
	return c.answer(removed{c.args[0]}, func(w io.Writer) { fmt.Fprintln(w, "The key is gone.") })
}
