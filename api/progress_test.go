package api

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"lain.internal/lain/gitserver"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
)

// Who does not read holds up nobody, learns that something is missing, and is not waited for once they are gone.
func TestProgress_OfWhoDoesNotRead(t *testing.T) {
	from, to := io.Pipe()
	c := &call{Context: t.Context(), session: gitserver.Session{Stderr: to, Terminal: &lain.Terminal{}}}
	p := c.progress()
	for i := range 3 * mostUnread {
		p.Report(report.Event{Kind: report.Output, Text: fmt.Sprint("line ", i)})
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	p.end(gone)
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(from)
		read <- string(all)
	}()
	<-p.shown
	to.Close()
	all := <-read
	if lines := strings.Count(all, "line "); lines < mostUnread || lines > mostUnread+1 || !strings.Contains(all, fmt.Sprintf("%d lines are left out", 3*mostUnread-lines)) {
		t.Errorf("%d lines, and at the end: %s", lines, all[max(0, len(all)-200):])
	}
}
