package api

import (
	"strconv"
	"strings"
	"time"

	"lain.internal/lain/lain/report"
)

// sinceUsage is what --since takes, wherever it is.
const sinceUsage = "only what came later: a duration (10m, 2h, 3d) or a time (2026-01-31, 2026-01-31T08:00:00Z)"

// since reads --since; zero where it was not given.
func (c *call) since() (time.Time, error) {
	text, _ := c.flags.GetString("since")
	if text == "" {
		return time.Time{}, nil
	}
	if at, ok := ago(text, c.Now()); ok {
		return at, nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, wrongArgument(c, "--since %q is no time: use 10m, 2h, 3d, 2026-01-31 or 2026-01-31T08:00:00Z", report.Line(text, 60))
}

// ago reads a duration, in days too, and counts it back from now.
func ago(text string, now time.Time) (time.Time, bool) {
	if days, err := strconv.Atoi(strings.TrimSuffix(text, "d")); err == nil && strings.HasSuffix(text, "d") {
		return now.AddDate(0, 0, -days), days >= 0
	}
	d, err := time.ParseDuration(text)
	return now.Add(-d), err == nil && d >= 0
}
