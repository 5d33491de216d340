// Command laind is the control plane of Lain: SSH front door, pipeline, builder, registry, controllers and
// the node's router, in one process.
//
//	laind serve --admin-key ~/.ssh/authorized_keys
//	laind doctor
//	laind down
//	laind backup --recipients-file FILE FILE
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errUnfit) {
			fmt.Fprintln(os.Stderr, "laind:", err)
		}
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{Use: "laind", Short: "the server of Lain", SilenceUsage: true, SilenceErrors: true, Version: version}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(
		withConfig(&cobra.Command{Use: "serve", Short: "run the server until SIGTERM",
			Example: "  laind serve --admin-key /root/.ssh/authorized_keys --domain apps.example.com"}, serve),
		withConfig(&cobra.Command{Use: "down", Short: "stop what outlives the server: nginx and the fence (applications keep running)",
			Example: "  laind down"}, down),
		withConfig(&cobra.Command{Use: "doctor", Short: "check whether this machine can run the server",
			Example: "  laind doctor"}, runDoctor),
		&cobra.Command{Use: "version", Short: "print the version", Args: cobra.NoArgs,
			Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), version) }},
	)
	cmd.AddCommand(archiveCommands()...)
	return cmd
}

// withConfig gives a command all settings as flags, and its function the settings as they turn out.
func withConfig(cmd *cobra.Command, run func(context.Context, Config, *slog.Logger) error) *cobra.Command {
	var declared Config
	var path string
	cmd.Args = cobra.NoArgs
	cmd.Flags().StringVar(&path, "config", "", "configuration file (default "+defaultConfig+" if it exists)")
	declared.flags(cmd.Flags())
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load(path, c.Flags())
		if err != nil {
			return err
		}
		return run(c.Context(), config, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	}
	return cmd
}
