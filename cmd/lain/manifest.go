package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
)

// maxManifest is one byte more than what the manifest's reader takes, so that it is the reader who refuses.
const maxManifest = 1<<20 + 1

func (c *client) manifestCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "manifest", Short: "check and show a lain.yaml, without a server",
		Example: "  lain manifest check\n  lain manifest show | jq .procs"}
	cmd.AddCommand(c.checkCommand(), c.showCommand(), &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of lain.yaml, for editors",
		Example: "  lain manifest schema > lain.schema.json    # and in lain.yaml: # yaml-language-server: $schema=lain.schema.json",
		Args:    cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error { _, err := c.out.Write(manifest.Schema()); return err }})
	return cmd
}

func (c *client) checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "check [FILE]", Short: "say what is wrong with a lain.yaml, and what has no effect",
		Long:    "Prints a line for each finding, as FILE:LINE:COLUMN: SEVERITY: SENTENCE. Exits 1 if a push would be refused for it.",
		Example: "  lain manifest check\n  lain manifest check --json other.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return c.check(file(args), asJSON) }}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON list")
	return cmd
}

func (c *client) showCommand() *cobra.Command {
	var domains []string
	cmd := &cobra.Command{Use: "show [FILE]", Short: "print a lain.yaml as JSON, with all defaults filled in",
		Example: "  lain manifest show\n  lain manifest show --domain apps.example.com | jq .procs.web.mountpoint",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return c.show(file(args), domains) }}
	cmd.Flags().StringSliceVar(&domains, "domain", nil, "of the cluster, for the hosts of web procs; may be given several times")
	cmd.Flags().Bool("json", true, "JSON is the only form there is")
	return cmd
}

func file(args []string) string {
	if len(args) == 0 {
		return "lain.yaml"
	}
	return args[0]
}

func (c *client) check(path string, asJSON bool) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	found := manifest.Check(path, data)
	if err := c.tell(found, asJSON); err != nil {
		return err
	}
	if found.Err() != nil {
		return exit(1)
	}
	return nil
}

func (c *client) tell(found manifest.Findings, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(append(manifest.Findings{}, found...)) // never null
	}
	for _, f := range found {
		fmt.Fprintln(c.out, f.Text())
		for line := range strings.Lines(f.Hint) {
			fmt.Fprintf(c.out, "    %s\n", strings.TrimRight(line, "\r\n"))
		}
	}
	return nil
}

// show prints a file that a push would take. What is wrong with another goes to standard error.
func (c *client) show(path string, domains []string) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	m, found := manifest.Parse(path, data)
	if found.Err() != nil {
		for _, f := range found.Only(manifest.Error) {
			fmt.Fprintln(c.err, f.Text())
		}
		return exit(1)
	}
	_, err = c.out.Write(manifest.Show(m, domains...))
	return err
}

// readFile is a file, as much of it as the manifest's reader needs to see.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Hide(fault.NotFound, err, "there is no file %s", path).WithHint("Propose one: lain init")
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	return data, nil
}
