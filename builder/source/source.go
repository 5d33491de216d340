// Package source unpacks the files of a commit for a build.
//
// What arrives is the tar stream of `git archive`: names, sizes and link targets were chosen by whoever
// pushed. The stream is read strictly, entry by entry, below one open directory: only directories, regular
// files and symbolic links are made, a link is never followed, and names, counts and sizes are bounded
// before anything is written. Whatever does not fit ends the unpacking with a sentence that names it.
//
// Modes become 0755 or 0644 and all times the commit's, so that one tree gives one context. The package
// runs no git and keeps nothing: the caller makes the directory and removes it.
package source

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lain.internal/lain/lain/fault"
)

// Options bound an archive. The zero value takes the defaults.
type Options struct {
	MaxEntries int       // files, links and directories; 0: 200 000
	MaxBytes   int64     // of all files together; 0: 8 GiB
	Time       time.Time // given to everything; zero: 1970
}

// lfsPointer is the first line of a file whose content git-lfs keeps elsewhere (git-lfs spec v1).
const lfsPointer = "version https://git-lfs.github.com/spec/v1\n"

// Unpack writes the entries of a tar stream below dir, which must exist and be empty, and reads the stream
// to its end. A stream that is broken off is an error. What was written stays after an error.
func Unpack(r io.Reader, dir string, o Options) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	defer root.Close()
	u := &unpacker{root: root, dir: dir, options: withDefaults(o), kinds: map[string]byte{}}
	in := &tailReader{r: r}
	if err := u.entries(tar.NewReader(in)); err != nil {
		return err
	}
	if err := in.finish(); err != nil {
		return err
	}
	return u.settle()
}

func withDefaults(o Options) Options {
	if o.MaxEntries == 0 {
		o.MaxEntries = 200_000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	if o.Time.IsZero() {
		o.Time = time.Unix(0, 0)
	}
	return o
}

type unpacker struct {
	root    *os.Root
	dir     string
	options Options
	kinds   map[string]byte // what each path became: a tar type flag
	bytes   int64
}

func (u *unpacker) entries(archive *tar.Reader) error {
	for {
		head, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("build context: the archive is broken: %w", err)
		case head.Typeflag == tar.TypeXGlobalHeader: // git writes the commit's id there
			continue
		}
		if err := u.entry(head, archive); err != nil {
			return err
		}
	}
}

func (u *unpacker) entry(head *tar.Header, content io.Reader) error {
	name, err := u.admit(head)
	if err != nil {
		return err
	}
	if err := u.parents(name); err != nil {
		return err
	}
	u.kinds[name] = head.Typeflag
	switch head.Typeflag {
	case tar.TypeDir:
		err = u.root.Mkdir(name, 0o755)
	case tar.TypeSymlink:
		err = u.link(name, head.Linkname)
	default:
		err = u.file(name, head, content)
	}
	var said *fault.Fault
	if err != nil && !errors.As(err, &said) {
		return fmt.Errorf("build context: write %s: %w", name, err)
	}
	return err
}

// admit decides whether an entry may be written at all.
func (u *unpacker) admit(head *tar.Header) (string, error) {
	name := strings.TrimSuffix(head.Name, "/")
	if why := badName(name); why != "" {
		return "", fault.New(fault.Invalid, "the file name %q cannot be built: %s", clip(name), why)
	}
	switch head.Typeflag {
	case tar.TypeDir, tar.TypeReg, tar.TypeSymlink:
	default:
		return "", fault.New(fault.Invalid, "%s is neither a file, a directory nor a symbolic link", clip(name))
	}
	if _, twice := u.kinds[name]; twice {
		return "", fault.New(fault.Invalid, "%s is in the archive twice", clip(name))
	}
	if len(u.kinds) >= u.options.MaxEntries {
		return "", fault.New(fault.Invalid, "the commit has more than %d files: leave generated files out of git", u.options.MaxEntries)
	}
	if head.Size < 0 || head.Size > u.options.MaxBytes-u.bytes {
		return "", fault.New(fault.Invalid, "the commit's files are larger than %d MiB together, %s is where it is too much: leave generated files out of git",
			u.options.MaxBytes>>20, clip(name))
	}
	u.bytes += head.Size
	return name, nil
}

// parents makes the directories above name. Each must be a directory made here, never a link.
func (u *unpacker) parents(name string) error {
	above := path.Dir(name)
	if above == "." {
		return nil
	}
	switch u.kinds[above] {
	case tar.TypeDir:
		return nil
	case 0:
		if err := u.parents(above); err != nil {
			return err
		}
		if len(u.kinds) >= u.options.MaxEntries {
			return fault.New(fault.Invalid, "the commit has more than %d files: leave generated files out of git", u.options.MaxEntries)
		}
		u.kinds[above] = tar.TypeDir
		return u.root.Mkdir(above, 0o755)
	default:
		return fault.New(fault.Invalid, "%s lies below %s, which is no directory", clip(name), clip(above))
	}
}

func (u *unpacker) link(name, target string) error {
	if target == "" || len(target) > 4095 || strings.ContainsRune(target, 0) {
		return fault.New(fault.Invalid, "the symbolic link %s has no usable target", clip(name))
	}
	return u.root.Symlink(target, name)
}

func (u *unpacker) file(name string, head *tar.Header, content io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := copyContent(f, name, content); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if head.Mode&0o111 != 0 {
		mode = 0o755
	}
	return errors.Join(f.Chmod(mode), f.Close())
}

func copyContent(w io.Writer, name string, content io.Reader) error {
	first := make([]byte, len(lfsPointer))
	n, err := io.ReadFull(content, first)
	if errors.Is(err, io.EOF) || (errors.Is(err, io.ErrUnexpectedEOF) && n == 0) {
		return nil
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if string(first[:n]) == lfsPointer {
		return fault.New(fault.Invalid, "%s is a Git LFS pointer, and its content was not pushed: commit the file itself", clip(name)).
			WithHint("git lfs migrate export --include=%q --everything brings the content back into git.", name)
	}
	if _, err := w.Write(first[:n]); err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}

// settle gives every path its time, the deepest first, since making a file changes its directory's.
func (u *unpacker) settle() error {
	names := make([]string, 0, len(u.kinds)+1)
	for name := range u.kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	at := unix.NsecToTimespec(u.options.Time.UnixNano())
	for _, name := range append(names, ".") {
		// The links among the parents were refused, so this path stays below dir; the last step is not followed.
		full := filepath.Join(u.dir, name)
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("build context: time of %s: %w", name, err)
		}
	}
	return nil
}
