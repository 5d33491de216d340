package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/remote"
)

// usual is the name of a remote and of a host in ssh's configuration, as the server's setup has it.
const usual = "lain"

func (c *client) createCommand(w *where) *cobra.Command {
	return &cobra.Command{Use: "create [APP]", Short: "make an application, and a git remote that leads to it",
		Long: "Makes an application on the server and adds a git remote that leads to it.\n\n" +
			"Without APP it is named as lain.yaml says, or else as the folder. The server is --host, or \"lain\" of ssh's\n" +
			"configuration (ssh -p 2222 lain@HOST setup prints what belongs there). The remote is named by -r, or \"lain\".",
		Example: "  lain create\n  lain create hello-test -r test --host ssh://lain@test.example.com:2222",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error { return c.create(strings.Join(args, ""), *w) }}
}

// create makes the application only if the remote can be added, and adds the remote only if that worked.
func (c *client) create(name string, w where) error {
	format, err := git("rev-parse", "--show-object-format")
	if outside(err) {
		return fault.New(fault.Invalid, "there is no git repository here, so no place for a remote").WithHint("Make one: git init -b main")
	}
	if err != nil {
		return err
	}
	app, err := appName(cmp.Or(name, w.app))
	if err != nil {
		return err
	}
	host, err := remote.ParseHost(cmp.Or(w.host, usual))
	if err != nil {
		return fault.New(fault.Invalid, "%w", err)
	}
	r := remote.Remote{Name: cmp.Or(w.remote, usual), URL: host.URL(app)}
	have, err := remoteIsFree(r)
	if err != nil {
		return err
	}
	if err := c.ssh(host, false, createWords(app, format)); err != nil {
		return err
	}
	return c.addRemote(r, have)
}

// createWords asks for a repository of the same object format.
func createWords(app lain.AppName, format string) []string {
	words := []string{"apps", "create", string(app)}
	if format != "sha1" {
		words = append(words, "--object-format", format)
	}
	return words
}

func (c *client) addRemote(r remote.Remote, have bool) error {
	if !have {
		if _, err := git("remote", "add", "--", r.Name, r.URL); err != nil {
			return fault.New(fault.Failed, "the application is made, but not its remote: %w", err).
				WithHint("Add it by hand: git remote add NAME %s", r.URL)
		}
	}
	fmt.Fprintf(c.out, "The git remote %s leads to %s. Deploy with: git push %s main\n", r.Name, r.URL, r.Name)
	return nil
}

// remoteIsFree says whether the remote is there already, and refuses a name that leads elsewhere or that git would not
// take.
func remoteIsFree(r remote.Remote) (have bool, err error) {
	if _, err := git("check-ref-format", "refs/remotes/"+r.Name+"/main"); err != nil {
		return false, fault.Hide(fault.Invalid, err, "%q cannot be the name of a git remote", r.Name)
	}
	all, err := remotes()
	if err != nil {
		return false, err
	}
	for _, other := range all {
		if other.Name == r.Name && other.URL != r.URL {
			return false, fault.New(fault.Conflict, "the git remote %s is there already, and leads to %s", r.Name, other.URL).
				WithHint("Name another one with -r NAME")
		}
		have = have || other == r
	}
	return have, nil
}

// appName is the name that was given, or that of lain.yaml, or that of the folder.
func appName(given string) (lain.AppName, error) {
	if given != "" {
		app, err := lain.ParseAppName(given)
		if err != nil {
			return "", fault.New(fault.Invalid, "%w", err)
		}
		return app, nil
	}
	dir := topFolder()
	m, err := readManifest(filepath.Join(dir, "lain.yaml"))
	if err != nil {
		return "", err
	}
	if m != nil {
		return m.AppName, nil
	}
	app, err := lain.ParseAppName(strings.ToLower(filepath.Base(dir)))
	if err != nil {
		return "", fault.New(fault.Invalid, "the application cannot be named after the folder: %w", err).WithHint("Name it: lain create APP, lain init -a APP")
	}
	return app, nil
}

// topFolder is the root of the repository, or the current folder outside of one.
func topFolder() string {
	if dir, err := git("rev-parse", "--show-toplevel"); err == nil && dir != "" {
		return dir
	}
	dir, _ := os.Getwd() // a folder that is gone has no name; appName says so
	return dir
}

// readManifest is the lain.yaml there; nil where there is none. One that a push would refuse is refused.
func readManifest(path string) (*manifest.Manifest, error) {
	data, err := readFile(path)
	if err != nil {
		if fault.Of(err).Kind == fault.NotFound {
			err = nil
		}
		return nil, err
	}
	m, found := manifest.Parse("lain.yaml", data)
	return m, found.Err()
}
