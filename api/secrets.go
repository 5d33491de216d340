package api

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/vaultbridge"
)

// secretVerbs are about files that the vault keeps.
func secretVerbs() []verb {
	return []verb{
		{name: "secret put", args: "APP PATH", summary: "store a secret file, which comes on standard input, and release it",
			detail: "A relative PATH is below /lain/app. Without --proc every proc that declares the path in secret_files gets it.\n" +
				"The procs that have it get new containers; --stage leaves that to: apply APP. An unknown APP is made.",
			example: "secret put hello conf/key.pem < key.pem", action: access.Operate, run: secretPut,
			flags: func(f *pflag.FlagSet) {
				ofProc(f)
				stage(f)
				f.String("mode", "400", "permission bits in the container, octal")
				f.String("owner", "0:0", "user and group in the container, as numbers: 1000 or 1000:1000")
			}},
		{name: "secret list", args: "APP", summary: "its secret files, without their values", example: "secret list hello",
			action: access.Operate, run: secretList},
		{name: "secret get", args: "APP PATH", summary: "write a secret file to standard output; who did so is kept", example: "secret get hello conf/key.pem > key.pem",
			action: access.Operate, run: secretGet, flags: func(f *pflag.FlagSet) {
				ofProc(f)
				f.Int("version", 0, "an older version; 0: the newest")
			}},
		{name: "secret rm", args: "APP PATH", summary: "remove a secret file; secret rollback brings it back", example: "secret rm hello conf/key.pem",
			action: access.Operate, run: secretRm, flags: func(f *pflag.FlagSet) { ofProc(f); stage(f) }},
		{name: "secret history", args: "APP PATH", summary: "its versions: when, and by whom", example: "secret history hello conf/key.pem",
			action: access.Operate, run: secretHistory, flags: ofProc},
		{name: "secret rollback", args: "APP PATH VERSION", summary: "make an older version the newest again, and release it", example: "secret rollback hello conf/key.pem 3",
			action: access.Operate, run: secretRollback, flags: func(f *pflag.FlagSet) { ofProc(f); stage(f) }},
		{name: "apply", args: "APP", summary: "release what was staged of secret files and config values, all at once", example: "apply hello",
			action: access.Operate, flags: changeFlags, run: apply},
	}
}

func ofProc(f *pflag.FlagSet) {
	f.StringP("proc", "p", "", "of this proc alone; it wins over the one for every proc")
}

func stage(f *pflag.FlagSet) { f.Bool("stage", false, "store it only; apply releases it") }

// file is the secret file that a verb names.
func (c *call) file() (vaultbridge.FileRef, error) {
	ref := vaultbridge.FileRef{App: c.app, Scope: lain.EveryProc}
	path, err := lain.ParseSecretPath(c.args[1])
	if err != nil {
		return ref, wrongArgument(c, "%w", err)
	}
	ref.Path = path
	if p, _ := c.flags.GetString("proc"); p != "" {
		name, err := lain.ParseProcName(p)
		if err != nil {
			return ref, wrongArgument(c, "%w", err)
		}
		ref.Scope = lain.ScopeOf(name)
	}
	return ref, nil
}

func secretPut(c *call) error {
	ref, err := c.file()
	if err != nil {
		return err
	}
	f, err := c.fileFlags()
	if err != nil {
		return err
	}
	if f.Value, err = c.all("the secret file", vaultbridge.MaxFile); err != nil {
		return err
	}
	if err := c.orMake(); err != nil {
		return err
	}
	v, err := c.Vault.PutFile(c, ref, f, c.session.Person)
	if err != nil {
		return err
	}
	return c.stored(v, fmt.Sprintf("%s of %s is version %d now (%d bytes)", ref.Path, c.app, v.Number, len(f.Value)))
}

func (c *call) fileFlags() (vaultbridge.File, error) {
	var f vaultbridge.File
	text, _ := c.flags.GetString("mode")
	mode, err := vaultbridge.ParseMode(text)
	if err != nil {
		return f, err
	}
	owner, _ := c.flags.GetString("owner")
	user, group, both := strings.Cut(owner, ":")
	if !both {
		group = user
	}
	uid, err := vaultbridge.ParseOwner(user)
	if err != nil {
		return f, err
	}
	gid, err := vaultbridge.ParseOwner(group)
	f.Mode, f.UID, f.GID = mode, uid, gid
	return f, err
}

// orMake makes the application where there is none: secrets may come before the first push.
func (c *call) orMake() error {
	_, err := c.theApp()
	if err == nil || fault.Of(err).Kind != fault.NotFound {
		return err
	}
	if err := c.Rights.Can(c, c.session.Person, access.CreateApp, c.app); err != nil {
		return err
	}
	if err := c.Apps.Create(c, c.app, "sha1", c.session.Person); err != nil {
		return err
	}
	c.say("%s is made.", c.app)
	return nil
}

// stored tells what was written and releases it, unless it is to be staged.
func (c *call) stored(v vaultbridge.Version, what string) error {
	c.say("%s.", what)
	if staged, _ := c.flags.GetBool("stage"); staged {
		return c.answer(v, func(w io.Writer) { fmt.Fprintf(w, "It is staged. Release it with: apply %s\n", c.app) })
	}
	return c.takeUp(v)
}

// takeUp releases what the vault has and what serves has not.
func (c *call) takeUp(v vaultbridge.Version) error {
	pending, serving, err := c.pending()
	switch {
	case err != nil:
		return err
	case serving == 0:
		return c.answer(v, func(w io.Writer) { fmt.Fprintf(w, "Nothing of %s serves yet: the first push uses it.\n", c.app) })
	case len(pending) == 0:
		return c.answer(v, func(w io.Writer) { fmt.Fprintf(w, "No proc of v%d uses it, so nothing is released.\n", serving) })
	}
	return c.change(lain.Change{Why: lain.WhySecrets})
}

// pending is what differs between the vault and what serves; serving is 0 where nothing does.
func (c *call) pending() (changes []vaultbridge.Change, serving int, err error) {
	app, err := c.theApp()
	if err != nil || app.Serving == 0 {
		return nil, 0, err
	}
	r, err := c.release(app.Serving)
	if err != nil {
		return nil, 0, err
	}
	var needs []vaultbridge.Need
	for _, p := range r.Procs {
		if len(p.SecretFiles) > 0 {
			needs = append(needs, vaultbridge.Need{Proc: p.Name, Files: p.SecretFiles, Bypass: p.Bypass})
		}
	}
	changes, err = c.Vault.Pending(c, c.app, needs, r.Procs)
	return changes, app.Serving, err
}

func apply(c *call) error {
	changes, serving, err := c.pending()
	if err != nil {
		return err
	}
	if serving == 0 || len(changes) == 0 {
		return c.answer([]vaultbridge.Change{}, func(w io.Writer) { fmt.Fprintf(w, "Nothing is staged of %s.\n", c.app) })
	}
	for _, ch := range changes {
		c.say("       %s", pendingLine(ch))
	}
	if dry, _ := c.flags.GetBool("dry-run"); dry {
		return c.answer(changes, func(w io.Writer) { fmt.Fprintf(w, "apply %s would release this.\n", c.app) })
	}
	return c.change(lain.Change{Why: lain.WhySecrets})
}

func pendingLine(ch vaultbridge.Change) string {
	what := "config " + ch.Key
	if ch.Key == "" {
		what = fmt.Sprintf("secret %s of %s", ch.Path, ch.Proc)
	}
	switch {
	case ch.To == 0:
		return what + ": removed"
	case ch.From == 0:
		return what + ": new"
	}
	return fmt.Sprintf("%s: version %d -> %d", what, ch.From, ch.To)
}

func secretList(c *call) error {
	if _, err := c.theApp(); err != nil {
		return err
	}
	list, err := c.Vault.ListFiles(c, c.app)
	if err != nil {
		return err
	}
	if list == nil {
		list = []vaultbridge.FileInfo{}
	}
	return c.answer(list, func(w io.Writer) {
		rows(w, "PATH PROC VERSION CHANGED STATE", func(row func(...any)) {
			for _, f := range list {
				row(f.Path, scopeName(f.Scope), f.Version.Number, age(c.Now(), f.Version.At), liveness(f.Version))
			}
		})
	})
}

func scopeName(s lain.SecretScope) string {
	if s == lain.EveryProc {
		return "every"
	}
	return string(s)
}

func liveness(v vaultbridge.Version) string {
	switch {
	case v.Gone:
		return "destroyed"
	case !v.Removed.IsZero():
		return "removed"
	}
	return "there"
}

// secretGet is the one verb that shows a value, so it leaves its trace before it does.
func secretGet(c *call) error {
	ref, err := c.file()
	if err != nil {
		return err
	}
	version, _ := c.flags.GetInt("version")
	f, v, err := c.Vault.GetFile(c, ref, version)
	if err != nil {
		return err
	}
	if err := c.note("secret get", fmt.Sprintf("%s of %s, version %d", ref.Path, scopeName(ref.Scope), v.Number)); err != nil {
		return err
	}
	if c.json {
		return c.answer(secretValue{ref.Path, v, fmt.Sprintf("%o", f.Mode), f.UID, f.GID, f.Value}, nil)
	}
	_, err = c.session.Stdout.Write(f.Value)
	return err
}

func secretRm(c *call) error {
	ref, err := c.file()
	if err != nil {
		return err
	}
	if users := c.declaredBy(ref); len(users) > 0 {
		c.say("Declared by %s: without it a release is refused, until it is put again.", strings.Join(users, ", "))
	}
	v, err := c.Vault.RemoveFile(c, ref)
	if err != nil {
		return err
	}
	return c.answer(v, func(w io.Writer) {
		scope := ""
		if ref.Scope != lain.EveryProc {
			scope = fmt.Sprintf(" -p %s", ref.Scope)
		}
		fmt.Fprintf(w, "%s of %s is removed. What runs keeps it until its next release. Undo: secret rollback %s %s %d%s\n", ref.Path, c.app, c.app, ref.Path, v.Number, scope)
	})
}

// declaredBy names the procs of what serves that declare a file; nothing where nothing serves.
func (c *call) declaredBy(ref vaultbridge.FileRef) []string {
	app, err := c.theApp()
	if err != nil || app.Serving == 0 {
		return nil
	}
	r, err := c.release(app.Serving)
	if err != nil {
		return nil
	}
	var names []string
	for _, p := range r.Procs {
		for _, m := range p.Secrets {
			if m.Path == ref.Path && m.Scope == ref.Scope {
				names = append(names, string(p.Name))
			}
		}
	}
	return names
}

func secretHistory(c *call) error {
	ref, err := c.file()
	if err != nil {
		return err
	}
	return c.history(c.Vault.FileHistory(c, ref))
}

func (c *call) history(list []vaultbridge.Version, err error) error {
	if err != nil {
		return err
	}
	if list == nil {
		list = []vaultbridge.Version{}
	}
	return c.answer(list, func(w io.Writer) {
		rows(w, "VERSION WHEN BY STATE", func(row func(...any)) {
			for _, v := range list {
				row(v.Number, v.At.Format("2006-01-02 15:04:05Z07:00"), dash(string(v.By)), liveness(v))
			}
		})
	})
}

func secretRollback(c *call) error {
	ref, err := c.file()
	if err != nil {
		return err
	}
	to, err := c.secretVersion(2)
	if err != nil {
		return err
	}
	v, err := c.Vault.RollbackFile(c, ref, to, c.session.Person)
	if err != nil {
		return err
	}
	return c.stored(v, fmt.Sprintf("%s of %s is version %d now, which is version %d again", ref.Path, c.app, v.Number, to))
}

func (c *call) secretVersion(i int) (int, error) {
	n, err := strconv.Atoi(c.args[i])
	if err != nil || n < 1 {
		return 0, wrongArgument(c, "%q is no version: use a number of the history", report.Line(c.args[i], 40))
	}
	return n, nil
}
