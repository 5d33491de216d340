package command

import (
	"strings"

	"lain.internal/lain/lain/fault"
)

// Split cuts a line into words as a POSIX shell quotes them: single quotes, double quotes in which a
// backslash keeps its meaning before $ ` " and \, and a backslash outside of quotes. Nothing is expanded
// and no character is an operator. Its error is a *fault.Fault.
func Split(line string) ([]string, error) {
	s := splitter{rest: line}
	for s.rest != "" && s.err == nil {
		s.step()
	}
	if s.err != nil {
		return nil, s.err
	}
	s.endWord()
	if len(s.words) > MaxArgs {
		return nil, fault.New(fault.Invalid, "the command has more than %d words", MaxArgs)
	}
	return s.words, nil
}

// splitter holds a line half cut. A word exists once anything of it was seen, so that a pair of quotes is an empty one.
type splitter struct {
	rest   string
	words  []string
	word   strings.Builder
	inWord bool
	err    error
}

func (s *splitter) step() {
	c := s.take()
	switch c {
	case ' ':
		s.endWord()
	case '\'':
		s.single()
	case '"':
		s.double()
	case '\\':
		s.escaped()
	default:
		s.add(c)
	}
}

func (s *splitter) take() byte {
	c := s.rest[0]
	s.rest = s.rest[1:]
	return c
}

func (s *splitter) add(c byte) {
	s.inWord = true
	s.word.WriteByte(c)
}

func (s *splitter) endWord() {
	if !s.inWord {
		return
	}
	s.words = append(s.words, s.word.String())
	s.word.Reset()
	s.inWord = false
}

func (s *splitter) single() {
	quoted, rest, ok := strings.Cut(s.rest, "'")
	if !ok {
		s.err = fault.New(fault.Invalid, "a single quote in the command is never closed")
		return
	}
	s.inWord = true
	s.word.WriteString(quoted)
	s.rest = rest
}

func (s *splitter) double() {
	s.inWord = true
	for s.rest != "" {
		c := s.take()
		if c == '"' {
			return
		}
		if c == '\\' && s.rest != "" && strings.IndexByte("$`\"\\", s.rest[0]) >= 0 {
			c = s.take()
		}
		s.word.WriteByte(c)
	}
	s.err = fault.New(fault.Invalid, "a double quote in the command is never closed")
}

func (s *splitter) escaped() {
	if s.rest == "" {
		s.err = fault.New(fault.Invalid, "the command ends with a backslash")
		return
	}
	s.add(s.take())
}
