package api

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"lain.internal/lain/lain/fault"
)

// maxInput bounds what a verb reads of values in one go, in bytes.
const maxInput = 1 << 20

// all is standard input, at most max bytes of it.
func (c *call) all(what string, max int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(c.session.Stdin, max+1))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s on standard input could not be read: %w", what, err)
	}
	if int64(len(data)) > max {
		return nil, fault.New(fault.Invalid, "%s on standard input is larger than %d bytes", what, max)
	}
	return data, nil
}

// value asks for one value: at a terminal with a prompt and without echo (the client's terminal is raw), else the
// whole of standard input without the newline that echo and editors put at its end.
func (c *call) value(name string) (string, error) {
	if c.session.Terminal == nil {
		data, err := c.all("the value of "+name, maxInput)
		text := strings.TrimSuffix(string(data), "\n")
		return strings.TrimSuffix(text, "\r"), err
	}
	fmt.Fprintf(c.session.Stderr, "Value of %s (it is not shown): ", name)
	defer io.WriteString(c.session.Stderr, "\n")
	return typedLine(c.session.Stdin)
}

// typedLine reads what a person types up to Return; Backspace and Ctrl-U edit, Ctrl-C and Ctrl-D give up.
func typedLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) <= maxInput {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", fault.New(fault.Cancelled, "no value was typed")
		}
		switch b[0] {
		case '\r', '\n':
			return string(line), nil
		case 3, 4:
			return "", fault.New(fault.Cancelled, "no value was typed")
		case 8, 127:
			line = line[:max(len(line)-1, 0)]
		case 21:
			line = line[:0]
		default:
			line = append(line, b[0])
		}
	}
	return "", errors.New("the line is too long")
}

// lines reads n values from standard input, a line each.
func (c *call) lines(n int) ([]string, error) {
	data, err := c.all("the values", maxInput)
	if err != nil {
		return nil, err
	}
	list := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(list) != n || len(data) == 0 {
		return nil, fault.New(fault.Invalid, "standard input has %d lines for %d values: give one line each", strings.Count(string(data), "\n"), n)
	}
	return list, nil
}
