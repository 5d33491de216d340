package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/propose"
)

func (c *client) initCommand(w *where) *cobra.Command {
	var kind string
	var dry bool
	cmd := &cobra.Command{Use: "init", Short: "propose a lain.yaml for the files that are here",
		Long: "Writes a first lain.yaml at the root of the repository: for Go, Node, Python or static pages, and with the procs\n" +
			"of a Procfile. It is a proposal, to be read and changed. A lain.yaml that is there is never overwritten.",
		Example: "  lain init\n  lain init --as python --dry-run",
		Args:    cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error { return c.init(*w, kind, dry) }}
	cmd.Flags().StringVar(&kind, "as", "", "the kind, where the tree could be of several: "+strings.Join(propose.Kinds, ", "))
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print it, and write nothing")
	cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(propose.Kinds, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return cmd
}

func (c *client) init(w where, kind string, dry bool) error {
	dir := topFolder()
	path := filepath.Join(dir, "lain.yaml")
	if _, err := os.Lstat(path); err == nil && !dry {
		return fault.New(fault.Conflict, "%s is there already", path).WithHint("Look at it with: lain manifest check. What init would write: lain init --dry-run")
	}
	app, err := c.appHere(w)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fault.New(fault.Failed, "%s cannot be read: %w", dir, err)
	}
	defer root.Close()
	p, err := propose.For(root.FS(), app, kind)
	if err != nil {
		return err
	}
	if dry {
		_, err := c.out.Write(p.YAML)
		return err
	}
	return c.writeProposal(path, p)
}

// appHere is the application that was named, or that of the remote, or what create would call it.
func (c *client) appHere(w where) (lain.AppName, error) {
	if w.app == "" {
		if target, err := c.find(w, false); err == nil && target.App != "" {
			return target.App, nil
		} else if w.remote != "" {
			return "", err
		}
	}
	return appName(w.app)
}

// writeProposal makes the file, and never writes into one that is there.
func (c *client) writeProposal(path string, p propose.Proposal) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "%s is there already", path)
	}
	if err != nil {
		return fault.New(fault.Failed, "lain.yaml cannot be written: %w", err)
	}
	_, err = f.Write(p.YAML)
	if err := errors.Join(err, f.Close()); err != nil {
		return fault.New(fault.Failed, "lain.yaml cannot be written: %w", err)
	}
	fmt.Fprintf(c.out, "%s is written, for %s. Read it, change it, commit it; the server must have or reach the images it names.\n", path, p.Kind)
	if p.Kind != "static" {
		fmt.Fprintln(c.out, "web must listen on the port that is in $PORT (8080), on all addresses.")
	}
	for _, n := range p.Notes {
		fmt.Fprintln(c.out, n)
	}
	return nil
}
