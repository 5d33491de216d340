package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/remote"
)

// place is a file of an instance: web.1:/tmp/x. A file of this side that looks so is written ./web.1:...
var place = regexp.MustCompile(`^[a-z0-9_.-]+\.[0-9]+:/`)

// cp gives the server's cp, with a file of this side in the place of its "-": words are "cp", the application, the
// source and the target. Whatever else is said goes as it is.
func (c *client) cp(host remote.Host, words []string) error {
	if len(words) != 4 {
		return c.ssh(host, false, words)
	}
	from, to := words[2], words[3]
	switch {
	case place.MatchString(from) && !place.MatchString(to) && to != "-":
		return c.download(host, words, to)
	case place.MatchString(to) && !place.MatchString(from) && from != "-":
		return c.upload(host, words, from)
	}
	return c.ssh(host, false, words)
}

// download writes the file whole or not at all. A folder as target gets a file of the source's name.
func (c *client) download(host remote.Host, words []string, to string) error {
	if st, err := os.Stat(to); err == nil && st.IsDir() {
		to = filepath.Join(to, path.Base(words[2]))
	}
	part, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".part-*")
	if err != nil {
		return local(to, err)
	}
	defer os.Remove(part.Name()) // gone by its new name, if all went well
	defer part.Close()
	far := *c
	far.out = part
	if err := far.ssh(host, false, []string{words[0], words[1], words[2], "-"}); err != nil {
		return err
	}
	if err := errors.Join(part.Chmod(mode(to)), part.Sync(), part.Close()); err != nil {
		return local(to, err)
	}
	if err := os.Rename(part.Name(), to); err != nil {
		return local(to, err)
	}
	return nil
}

// mode is that of the file which is there, else what anybody may read.
func mode(file string) fs.FileMode {
	if st, err := os.Stat(file); err == nil {
		return st.Mode().Perm()
	}
	return 0o644
}

// upload sends a file. A target that ends in a slash gets one of the source's name.
func (c *client) upload(host remote.Host, words []string, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return local(from, err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return fault.New(fault.Invalid, "%s is no file", from).WithHint("For a folder: tar -c FOLDER | lain enter INSTANCE -- tar -x -C /WHERE")
	}
	to := words[3]
	if strings.HasSuffix(to, "/") {
		to += filepath.Base(from)
	}
	far := *c
	far.in = f
	return far.ssh(host, false, []string{words[0], words[1], "-", to})
}

// local is what went wrong with a file of this side.
func local(file string, err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fault.New(fault.Invalid, "%s: %w", file, err)
}
