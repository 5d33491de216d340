package api

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"lain.internal/lain/lain/report"
)

// rows writes a table: a heading, then rows, columns by two spaces.
func rows(w io.Writer, heading string, write func(row func(cells ...any))) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(heading, " ", "\t"))
	write(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				io.WriteString(t, "\t")
			}
			io.WriteString(t, report.Line(fmt.Sprint(c), 200))
		}
		io.WriteString(t, "\n")
	})
	t.Flush()
}

// age is a time as people say it: "5s", "3m", "2h", "4d".
func age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	d := now.Sub(then)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(d, 0).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// stamp is a time with its day and zone.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z07:00") }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
