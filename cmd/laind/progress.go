package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

// progress counts what goes through it, in one direction, and shows the count now and then.
type progress struct {
	w     io.Writer
	r     io.Reader
	out   io.Writer // nil: nobody looks
	every time.Duration
	bytes int64
	shown time.Time
}

// terminal is standard error where a person looks at it.
func terminal() io.Writer {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return os.Stderr
}

// Write passes on.
func (p *progress) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.count(n)
	return n, err
}

// Read passes on.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.count(n)
	return n, err
}

func (p *progress) count(n int) {
	p.bytes += int64(n)
	if p.out != nil && time.Since(p.shown) > p.every {
		p.shown = time.Now()
		fmt.Fprintf(p.out, "\r%-12s", units.BytesSize(float64(p.bytes)))
	}
}

// done clears the line and tells the count.
func (p *progress) done() int64 {
	if p.out != nil && !p.shown.IsZero() {
		fmt.Fprintf(p.out, "\r%-12s\r", "")
	}
	return p.bytes
}
