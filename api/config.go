package api

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/lain/changes"
	"lain.internal/lain/lain/envfile"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/vaultbridge"
)

// configVerbs are about values in the environment that the vault keeps.
func configVerbs() []verb {
	return []verb{
		{name: "config set", args: "APP [KEY...]", summary: "set config values, which come on standard input or from a prompt, and release them",
			detail: "One KEY takes all of standard input. Of several, written KEY=-, each takes a line. --from-file - reads\n" +
				"NAME=value lines. Values are never arguments, where others could see them. An unknown APP is made.",
			example: "config set hello DATABASE_URL < url\n  ssh lain config set hello --from-file - < .env", action: access.Operate, run: configSet,
			flags: func(f *pflag.FlagSet) {
				stage(f)
				f.String("from-file", "", "-: read NAME=value lines from standard input")
			}},
		{name: "config list", args: "APP", summary: "the names of its config values", example: "config list hello",
			action: access.Operate, run: configList},
		{name: "config get", args: "APP KEY", summary: "write a config value to standard output; who did so is kept", example: "config get hello DATABASE_URL",
			action: access.Operate, run: configGet},
		{name: "config unset", args: "APP KEY...", summary: "take config values away, and release that", example: "config unset hello DEBUG",
			action: access.Operate, run: configUnset, flags: stage},
		{name: "config history", args: "APP", summary: "its versions: when, by whom, and which names were set (+), changed (~) or unset (-)", example: "config history hello",
			action: access.Operate, run: configHistory},
		{name: "config rollback", args: "APP VERSION", summary: "make all values of an older version the newest again, and release them", example: "config rollback hello 3",
			action: access.Operate, run: configRollback, flags: stage},
	}
}

func configSet(c *call) error {
	values, err := c.configValues()
	if err != nil {
		return err
	}
	if err := c.orMake(); err != nil {
		return err
	}
	if err := c.Apps.MayHaveConfig(c, c.app); err != nil { // first: a release that does not ask the vault would miss them
		return err
	}
	v, err := c.Vault.SetConfig(c, c.app, values, c.session.Person)
	if err != nil {
		return err
	}
	return c.stored(v, fmt.Sprintf("%s: set, config of %s is version %d now", strings.Join(slices.Sorted(maps.Keys(values)), ", "), c.app, v.Number))
}

// configValues reads what is to be set, in one of the three ways.
func (c *call) configValues() (map[string]string, error) {
	keys := c.args[1:]
	from, _ := c.flags.GetString("from-file")
	switch {
	case from != "" && (from != "-" || len(keys) > 0):
		return nil, wrongArgument(c, "--from-file takes - only, and no keys beside it: the file is on your side, so send it: config set %s --from-file - < FILE", c.app)
	case from != "":
		data, err := c.all("the file", maxInput)
		if err != nil {
			return nil, err
		}
		return envfile.Parse(data)
	case len(keys) == 0:
		return nil, wrongArgument(c, "say which KEY to set")
	}
	return c.keyed(keys)
}

func (c *call) keyed(args []string) (map[string]string, error) {
	keys, err := keyNames(c, args)
	if err != nil {
		return nil, err
	}
	if len(keys) == 1 {
		v, err := c.value(keys[0])
		return map[string]string{keys[0]: v}, err
	}
	lines, err := c.lines(len(keys))
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for i, k := range keys {
		if _, twice := values[k]; twice {
			return nil, wrongArgument(c, "%s is named twice", k)
		}
		values[k] = lines[i]
	}
	return values, nil
}

// keyNames reads KEY and KEY=-, and refuses a value, without repeating it.
func keyNames(c *call, args []string) ([]string, error) {
	var keys []string
	for _, arg := range args {
		key, value, given := strings.Cut(arg, "=")
		if given && value != "-" {
			return nil, wrongArgument(c, "the value of %s must not be an argument, where every user of your machine sees it: send it on standard input", report.Line(key, 64))
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func configList(c *call) error {
	if _, err := c.theApp(); err != nil {
		return err
	}
	keys, v, err := c.Vault.ConfigKeys(c, c.app)
	if err != nil {
		return err
	}
	if keys == nil {
		keys = []string{}
	}
	return c.answer(configNames{keys, v}, func(w io.Writer) {
		for _, k := range keys {
			fmt.Fprintln(w, k)
		}
		if len(keys) == 0 {
			fmt.Fprintf(w, "%s has no config values. Set one: config set %s KEY < FILE\n", c.app, c.app)
		}
	})
}

func configGet(c *call) error {
	values, v, err := c.Vault.Config(c, c.app, 0)
	if err != nil {
		return err
	}
	value, ok := values[c.args[1]]
	if !ok {
		return fault.New(fault.NotFound, "%s has no config value %s", c.app, report.Line(c.args[1], 64)).WithHint("See: config list %s", c.app)
	}
	if err := c.note("config get", fmt.Sprintf("%s, version %d", c.args[1], v.Number)); err != nil {
		return err
	}
	return c.answer(configValue{c.args[1], value, v}, func(w io.Writer) { fmt.Fprintln(w, value) })
}

func configUnset(c *call) error {
	v, err := c.Vault.UnsetConfig(c, c.app, c.args[1:], c.session.Person)
	if err != nil {
		return err
	}
	return c.stored(v, fmt.Sprintf("%s: unset, config of %s is version %d now", strings.Join(c.args[1:], ", "), c.app, v.Number))
}

func configRollback(c *call) error {
	to, err := c.secretVersion(1)
	if err != nil {
		return err
	}
	v, err := c.Vault.RollbackConfig(c, c.app, to, c.session.Person)
	if err != nil {
		return err
	}
	return c.stored(v, fmt.Sprintf("config of %s is version %d now, which is version %d again", c.app, v.Number, to))
}

// configVersion is a version of the config values with what it changed, by name.
type configVersion struct {
	vaultbridge.Version
	Names []string `json:"names"`
}

func configHistory(c *call) error {
	versions, err := c.Vault.ConfigHistory(c, c.app)
	if err != nil {
		return err
	}
	list := make([]configVersion, len(versions))
	var former map[string]string
	for i := len(versions) - 1; i >= 0; i-- { // the oldest first: each is compared with the one before it
		list[i] = configVersion{versions[i], []string{}}
		if !versions[i].Live() {
			continue
		}
		values, _, err := c.Vault.Config(c, c.app, versions[i].Number)
		if err != nil {
			return err
		}
		list[i].Names = changes.Names(former, values)
		former = values
	}
	return c.answer(list, func(w io.Writer) {
		rows(w, "VERSION WHEN BY NAMES", func(row func(...any)) {
			for _, v := range list {
				row(v.Number, v.At.Format("2006-01-02 15:04:05Z07:00"), dash(string(v.By)), dash(strings.Join(v.Names, " ")))
			}
		})
	})
}
