package pipeline

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"lain.internal/lain/lain/fault"
)

// shortage puts the disk into the sentence of an error that came of a full one, or while there was no room, and
// asks for retention. What somebody asked for, and what is wrong with the input, stays as it is.
func (p *Pipeline) shortage(err error) error {
	if err == nil || errors.Is(err, errLost) || errors.Is(err, errStopping) {
		return err
	}
	f, full, room := fault.Of(err), full(err), p.o.Room()
	if (!full && room == nil) || !mayBeTheDisk(f.Kind) || (room != nil && strings.Contains(f.Sentence, fault.Of(room).Sentence)) {
		return err
	}
	p.MakeRoom()
	why := "a disk of the server is full; running applications are not touched"
	if room != nil {
		why = fault.Of(room).Sentence
	}
	said := *f
	said.Cause = err
	switch {
	case f.Kind == fault.Internal:
		said.Sentence, said.Hint = why, ""
	default:
		said.Sentence = f.Sentence + ": " + why
	}
	if full || f.Kind == fault.Internal {
		said.Kind = fault.Unavailable
	}
	return &said
}

func mayBeTheDisk(k fault.Kind) bool {
	return k == fault.Internal || k == fault.Unavailable || k == fault.Failed
}

// full finds the error of a full disk among the causes of err. Of the engine, of BuildKit and of git there is only
// its text.
func full(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if errors.Is(e, unix.ENOSPC) || strings.Contains(strings.ToLower(e.Error()), unix.ENOSPC.Error()) {
			return true
		}
	}
	return false
}
