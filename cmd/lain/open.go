package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"lain.internal/lain/lain/fault"
)

// maxInfo bounds what is read of the server's answer, in bytes.
const maxInfo = 4 << 20

func (c *client) openCommand(w *where) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{Use: "open", Short: "print where the application answers, and show it in a browser",
		Long: "Prints the first URL of the application. Where there is a desktop, a browser shows it as well:\n" +
			"through open on macOS, through xdg-open elsewhere.",
		Example: "  lain open\n  curl \"$(lain open --print)\"",
		Args:    cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error { return c.open(*w, quiet) }}
	cmd.Flags().BoolVar(&quiet, "print", false, "print it only")
	return cmd
}

func (c *client) open(w where, quiet bool) error {
	target, err := c.find(w, false)
	if err != nil {
		return err
	}
	if target.App == "" {
		return fault.New(fault.Invalid, "with --host, the application has to be named").WithHint("Name it: -a APP")
	}
	answer, err := c.ask(target.Host, maxInfo, "info", string(target.App), "--json")
	if err != nil {
		return err
	}
	address, err := firstURL(answer)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, address)
	if quiet {
		return nil
	}
	return c.browse(address)
}

// firstURL is the first of what info answers. It goes to a program as an argument, so it has to be a URL of the web.
func firstURL(answer []byte) (string, error) {
	var info struct{ URLs []string }
	if err := json.Unmarshal(answer, &info); err != nil {
		return "", fault.New(fault.Failed, "the server's answer cannot be read: %w", err)
	}
	if len(info.URLs) == 0 {
		return "", fault.New(fault.NotFound, "nothing of it answers on the web yet").WithHint("The first push of a lain.yaml with a web proc changes that: git push lain main")
	}
	u, err := url.Parse(info.URLs[0])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fault.New(fault.Failed, "the server's answer is not a URL: %q", info.URLs[0])
	}
	return u.String(), nil
}

// browse shows a page where there is a desktop. It does not wait for the browser.
func (c *client) browse(address string) error {
	name := "xdg-open"
	if runtime.GOOS == "darwin" {
		name = "open"
	} else if c.getenv("DISPLAY") == "" && c.getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil // the address stands on the screen
	}
	if err := exec.Command(path, address).Start(); err != nil {
		return fault.New(fault.Failed, "%s could not be run: %w", name, err)
	}
	return nil
}
