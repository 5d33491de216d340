package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lain.internal/lain/archive"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
	"lain.internal/lain/vaultbridge/local"
)

// archiveCommands are backup and restore.
func archiveCommands() []*cobra.Command {
	return []*cobra.Command{backupCommand(), restoreCommand()}
}

// archiveJob is what both verbs are told beside the settings.
type archiveJob struct {
	file   string // "-": standard output or input
	lock   archive.Lock
	key    archive.Key
	force  bool
	asJSON bool
}

func backupCommand() *cobra.Command {
	var j archiveJob
	cmd := withConfig(&cobra.Command{Use: "backup FILE", Short: "write everything of the control plane into one encrypted file, while it serves or not",
		Example: "  laind backup --recipients-file /etc/lain/backup.recipients /mnt/backup/lain.age\n" +
			"  laind backup --passphrase-file /root/passphrase - | ssh elsewhere 'cat > lain.age'"}, j.backup)
	j.declare(cmd)
	cmd.Flags().StringArrayVar(&j.lock.Recipients, "recipient", nil, "public key (age1...) of who may open it; can be repeated")
	cmd.Flags().StringVar(&j.lock.RecipientsFile, "recipients-file", "", "file of public keys, one a line")
	cmd.Flags().StringVar(&j.lock.PassphraseFile, "passphrase-file", "", "file whose first line is a passphrase, in place of recipients")
	return cmd
}

func restoreCommand() *cobra.Command {
	var j archiveJob
	cmd := withConfig(&cobra.Command{Use: "restore FILE", Short: "put a backup in the place of the data folder; the server must not run",
		Example: "  laind restore --identity /root/backup.key /mnt/backup/lain.age"}, j.restore)
	j.declare(cmd)
	cmd.Flags().StringVar(&j.key.IdentityFile, "identity", "", "file of the secret key (AGE-SECRET-KEY-1...)")
	cmd.Flags().StringVar(&j.key.PassphraseFile, "passphrase-file", "", "file whose first line is the passphrase")
	cmd.Flags().BoolVar(&j.force, "force", false, "move a data folder that is not empty aside (nothing is deleted)")
	return cmd
}

func (j *archiveJob) declare(cmd *cobra.Command) {
	cmd.Args = cobra.ExactArgs(1)
	cmd.PreRun = func(_ *cobra.Command, args []string) { j.file = args[0] }
	cmd.Flags().BoolVar(&j.asJSON, "json", false, "print the summary as JSON")
}

// parts are what a backup copies first, in this order, behind the records. What is in the data folder and
// neither here nor in left follows.
func parts(vault *local.Vault) []archive.Part {
	list := []archive.Part{archive.Repositories("repositories"), archive.Images("registry")}
	if vault != nil {
		list = append([]archive.Part{{Path: "vault", Quiesce: vault.Quiesce}}, list...)
	}
	return list
}

// left is what a backup does not copy: the store's files (the records are in it), what is made again at a start,
// and the applications' own data.
var left = []string{"etcd", "builds", "router", "volumes"}

// vault is the machine's own, nil where another one is used.
func (c Config) source(store *state.Store, gate *archive.Gate, vault *local.Vault) archive.Source {
	return archive.Source{Store: store, Gate: gate, Cluster: store.Cluster(), Version: version, Data: c.Data, Settings: c.settings(),
		Parts: parts(vault), Leave: left, Now: time.Now}
}

// settings is the file that laind.yaml was read from.
func (c Config) settings() string {
	if c.file != "" {
		return c.file
	}
	return defaultConfig
}

// backup writes the file: the words of a running server where there is one, else those of the folder.
func (j *archiveJob) backup(ctx context.Context, c Config, log *slog.Logger) error {
	if j.lock.Empty() {
		_, err := j.lock.Close(io.Discard)
		return shown(err)
	}
	if err := j.outside(c.Data); err != nil {
		return shown(err)
	}
	var sum archive.Summary
	began := time.Now()
	var size int64
	err := j.save(func(w io.Writer) (err error) {
		counted := &progress{w: w, every: time.Second, out: terminal()}
		sum, err = j.seal(ctx, c, log, counted)
		size = counted.done()
		return err
	})
	if err != nil {
		return shown(err)
	}
	return j.tell(struct {
		archive.Summary
		File    string `json:"file"`
		Size    int64  `json:"size"` // of the file, in bytes
		Seconds int64  `json:"seconds"`
	}{sum, j.file, size, int64(time.Since(began).Seconds())}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: cluster %s, %d applications, %d records at revision %d, %s in %d entries; %s encrypted\n", j.file, sum.Cluster,
			sum.Apps, sum.Records, sum.Revision, units.BytesSize(float64(sum.Bytes)), sum.Entries, units.BytesSize(float64(size)))
		for _, path := range sum.Left {
			fmt.Fprintf(w, "Not in it, since it is neither a file nor a folder: %s\n", path)
		}
	})
}

// outside refuses a file that would be part of itself.
func (j *archiveJob) outside(data string) error {
	path, err := filepath.Abs(j.file)
	if err == nil && j.file != "-" && strings.HasPrefix(path, filepath.Clean(data)+"/") {
		return fault.New(fault.Invalid, "%s lies in the data folder, which is what is backed up", j.file)
	}
	return err
}

func (j *archiveJob) save(write func(io.Writer) error) error {
	if j.file != "-" {
		return archive.Save(j.file, write)
	}
	if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err == nil {
		return fault.New(fault.Invalid, "a backup is nothing for a terminal").WithHint("Send standard output to a file or a program.")
	}
	return write(os.Stdout)
}

// seal encrypts what the server, or the folder, gives.
func (j *archiveJob) seal(ctx context.Context, c Config, log *slog.Logger, w io.Writer) (sum archive.Summary, err error) {
	lock, err := j.lock.Close(w)
	if err != nil {
		return sum, err
	}
	sum, err = askForBackup(ctx, c, lock)
	if errors.Is(err, errNotRunning) {
		sum, err = offline(ctx, c, log, lock)
	}
	if err != nil {
		return sum, err
	}
	return sum, lock.Close()
}

// offline backs up the folder of a server that does not run. The store's lock keeps one from starting meanwhile.
func offline(ctx context.Context, c Config, log *slog.Logger, w io.Writer) (sum archive.Summary, err error) {
	dir := filepath.Join(c.Data, "etcd")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return sum, fault.New(fault.NotFound, "there is no control plane in %s", c.Data).WithHint("Give the same --data as to laind serve.")
	}
	socket, err := os.MkdirTemp("", "lain-")
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(socket)) }()
	store, err := state.Open(ctx, state.Options{Dir: dir, Socket: filepath.Join(socket, "etcd.sock"), Cluster: (&server{c: c}).cluster(), Logger: log})
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	vault, err := c.findVault(log)
	if err != nil {
		return archive.Summary{}, err
	}
	return c.source(store, nil, vault).Write(ctx, w)
}

// restore reads the file and says what is to be done next.
func (j *archiveJob) restore(ctx context.Context, c Config, log *slog.Logger) error {
	if running(c) {
		return shown(fault.New(fault.Conflict, "laind serves from %s", c.Data).WithHint("Stop it, then run: laind down"))
	}
	file, err := j.open()
	if err != nil {
		return shown(err)
	}
	defer file.Close()
	counted := &progress{r: file, every: time.Second, out: terminal()}
	in, err := j.key.Open(counted)
	if err != nil {
		return shown(err)
	}
	to := archive.Target{Data: c.Data, Cluster: (&server{c: c}).cluster(), Force: j.force, Now: time.Now, Logger: log}
	done, err := to.Read(ctx, in)
	counted.done()
	if err != nil {
		return shown(err)
	}
	return j.tell(done, func(w io.Writer) { nextSteps(w, c, done) })
}

func (j *archiveJob) open() (*os.File, error) {
	if j.file == "-" {
		return os.Stdin, nil
	}
	f, err := os.Open(j.file)
	if err != nil {
		return nil, fault.Hide(fault.NotFound, err, "%s cannot be read", j.file)
	}
	return f, nil
}

func nextSteps(w io.Writer, c Config, done archive.Restored) {
	fmt.Fprintf(w, "%s holds the cluster %s again as it was at %s (lain %s): %d applications, %d records, %s.\n", c.Data, done.Cluster,
		done.Time.Local().Format(time.DateTime), done.Lain, done.Apps, done.Records, units.BytesSize(float64(done.Bytes)))
	if done.Before != "" {
		fmt.Fprintf(w, "What was there before is in %s.\n", done.Before)
	}
	if done.Settings != "" {
		fmt.Fprintf(w, "The settings of then are in %s; compare them with those of this machine.\n", done.Settings)
	}
	fmt.Fprintf(w, `Next: start laind, with the settings it had (laind serve, or systemctl start lain).
It then makes true what the records say: containers that already run as recorded go on, services that are missing are
made from the restored images, on a new swarm too, and runs that were under way are ended as after a crash.
Pushes that were made after the backup are not in it: push them again.
`)
}

// tell prints the summary on standard output, or on standard error where the archive went there.
func (j *archiveJob) tell(v any, text func(io.Writer)) error {
	w := io.Writer(os.Stdout)
	if j.file == "-" {
		w = os.Stderr
	}
	if !j.asJSON {
		text(w)
		return nil
	}
	return json.NewEncoder(w).Encode(v)
}

// shown gives an error the hint that main would not print, and the cause that an operator wants to see.
func shown(err error) error {
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		return err
	}
	text := f.Error()
	if f.Cause != nil && f.Kind != fault.Denied {
		text += " (" + f.Cause.Error() + ")"
	}
	if f.Hint != "" {
		text += "\n" + f.Hint
	}
	return errors.New(text)
}
