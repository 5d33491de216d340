package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/remote"
	"lain.internal/lain/lain/verbs"
)

const about = `lain gives the verbs of a Lain server over ssh. Which server and which application is found in the
git remotes of the current repository: the one that leads to a Lain, as lain:hello does.

  lain VERB ...         any verb of the server, without the application: lain logs -f
  lain help [VERB]      the verbs there are, or one of them; the server is asked
  lain -r prod VERB     the remote prod, where there are several (LAIN_REMOTE says it for all)
  lain -a hello VERB    another application of that server
  lain --host lain VERB without a repository; the words then go as they are, unless -a is given

The exit code is that of the verb; 255 means that ssh did not get through.`

// own carries out a command that is ours alone. What cobra has to say is about the words.
func (c *client) own(args []string) error {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.Execute()
	var code exit
	var f *fault.Fault
	if err != nil && !errors.As(err, &code) && !errors.As(err, &f) {
		return fault.New(fault.Invalid, "%w", err).WithHint("See: lain --help")
	}
	return err
}

// root is the tree of our own commands. It is made only when one of them is wanted.
func (c *client) root() *cobra.Command {
	var w where
	root := &cobra.Command{Use: "lain", Short: "the developer's client of Lain", Long: about, Version: version,
		Example:      "  lain create\n  git push lain main\n  lain logs -f -p web\n  lain config set DATABASE_URL",
		SilenceUsage: true, SilenceErrors: true, Args: cobra.ArbitraryArgs, FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		ValidArgsFunction: completeVerb}
	flags := root.PersistentFlags()
	flags.StringVarP(&w.remote, "remote", "r", "", "the git remote that says server and application")
	flags.StringVarP(&w.app, "app", "a", "", "the application, instead of the remote's")
	flags.StringVar(&w.host, "host", "", "the server, instead of a remote's: lain, lain@HOST, ssh://lain@HOST:2222")
	root.RegisterFlagCompletionFunc("remote", completeRemote) // the flag is there
	root.AddCommand(c.createCommand(&w), c.openCommand(&w), c.initCommand(&w), c.manifestCommand(), c.completionCommand())
	return root
}

// completeVerb offers the server's verbs, from what the client knows of them. Commands of its own are offered by cobra.
func completeVerb(_ *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
	next := slices.DeleteFunc(verbs.Next(words), func(w string) bool { return len(words) == 0 && slices.Contains(verbs.Own, w) })
	return next, cobra.ShellCompDirectiveNoFileComp
}

// completeRemote offers the remotes that lead to a Lain.
func completeRemote(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, _ := remotes() // a completion has nobody to complain to
	var names []string
	for _, r := range remote.Lains(all) {
		names = append(names, r.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (c *client) completionCommand() *cobra.Command {
	return &cobra.Command{Use: "completion bash|zsh|fish", Short: "print what makes a shell complete the words of lain",
		Example: "  lain completion bash > ~/.local/share/bash-completion/completions/lain\n" +
			"  lain completion zsh > \"${fpath[1]}/_lain\"\n  lain completion fish > ~/.config/fish/completions/lain.fish",
		ValidArgs: []string{"bash", "zsh", "fish"}, Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(c.out, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(c.out)
			}
			return cmd.Root().GenFishCompletion(c.out, true)
		}}
}
