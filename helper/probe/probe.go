package probe

import (
	"context"
	"io"
	"time"
)

// The exit codes, as the engine reads them. 2 is reserved there, so a wrong command line is a 1 as well.
const (
	exitWell   = 0
	exitUnwell = 1
)

// Main asks the question its arguments name and returns the exit code. It blocks at most
// --interval + --timeout, and before the first success --settle + twice --timeout.
func Main(args []string, stdout, stderr io.Writer) int {
	q, err := parse(args)
	if err != nil {
		_, _ = io.WriteString(stderr, "helper probe: "+err.Error()+"\n")
		return exitUnwell
	}
	line, well := q.ask(newMemory(q.state), time.Sleep)
	_, _ = io.WriteString(stdout, clean(line)+"\n")
	if !well {
		return exitUnwell
	}
	return exitWell
}

// memory knows of the probes before in this container.
type memory interface {
	succeeded() bool // there was a first success
	failing() bool   // since then, the last one failed
	remember(well bool)
}

// ask sleeps the interval first if there was a success before, then asks. A failure does not forget the first
// success: the engine's retries are counted in intervals of the application.
func (q question) ask(m memory, sleep func(time.Duration)) (line string, well bool) {
	if !m.succeeded() {
		return q.first(m, sleep)
	}
	failing := m.failing()
	if failing {
		line, well = q.again(sleep)
	} else {
		sleep(q.interval)
		line, well = q.once()
	}
	if well == failing {
		m.remember(well)
	}
	return line, well
}

// first asks until the first success, which may have to last.
func (q question) first(m memory, sleep func(time.Duration)) (line string, well bool) {
	if line, well = q.once(); well && q.settle > 0 {
		sleep(q.settle)
		line, well = q.once()
	}
	if well {
		m.remember(true)
	}
	return line, well
}

// timesAgain is how often one that is unwell is asked in an interval.
const timesAgain = 5

// again asks one that is unwell, and ends with the first good answer, or with the interval.
func (q question) again(sleep func(time.Duration)) (line string, well bool) {
	end := time.Now().Add(q.interval)
	for range timesAgain {
		sleep(min(q.interval/timesAgain, time.Until(end)))
		if line, well = q.once(); well || !time.Now().Before(end) {
			break
		}
	}
	return line, well
}

func (q question) once() (string, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
	defer cancel()
	return q.answer(ctx)
}

func (q question) answer(ctx context.Context) (string, bool) {
	switch {
	case q.alive:
		return "the container runs", true
	case q.http != nil:
		return askHTTP(ctx, *q.http)
	case q.tcp != "":
		return askTCP(ctx, q.tcp)
	default:
		return askCommand(ctx, q.argv)
	}
}

// maxLine bounds what one probe may put into the engine's health log.
const maxLine = 300

// clean makes one printable line of text that an application may have written.
func clean(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0xfffd {
			r = ' '
		}
		if len(out) == maxLine {
			return string(append(out, '…'))
		}
		out = append(out, r)
	}
	return string(out)
}
