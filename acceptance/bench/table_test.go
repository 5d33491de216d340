//go:build bench

package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sample is one thing measured several times, sorted.
type sample []time.Duration

func (s sample) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func (s sample) median() time.Duration { return s.at(0.5) }

// String is the median, with the extremes behind it.
func (s sample) String() string {
	if len(s) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s … %s)", show(s.median()), show(s[0]), show(s[len(s)-1]))
}

func show(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

// sampled runs fs in turn, n rounds of them, and returns what each measured. Every other round runs
// backwards, so that none always comes first.
func sampled(n int, fs ...func(round int) time.Duration) []sample {
	all := make([]sample, len(fs))
	for round := range n {
		for i := range fs {
			if round%2 == 1 {
				i = len(fs) - 1 - i
			}
			all[i] = append(all[i], fs[i](round))
		}
	}
	for _, s := range all {
		slices.Sort(s)
	}
	return all
}

// table is Markdown to be.
type table struct {
	title string
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...any) {
	var row []string
	for _, c := range cells {
		row = append(row, fmt.Sprint(c))
	}
	t.rows = append(t.rows, row)
}

// pair adds a row of ours against the plain way, with the aim for their ratio (0: none).
func (t *table) pair(what string, ours, plain sample, aim float64) {
	t.add(what, ours, plain, against(ours, plain), atMost(aim))
}

func against(ours, plain sample) string {
	return fmt.Sprintf("%.2f", float64(ours.median())/float64(max(1, plain.median())))
}

func atMost(aim float64) string {
	if aim == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", aim)
}

func (t *table) String() string {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	line := func(b *strings.Builder, row []string, fill string) {
		for i := range t.head {
			c := ""
			if i < len(row) {
				c = row[i]
			}
			fmt.Fprintf(b, "| %s%s ", c, strings.Repeat(cmp.Or(fill, " "), width[i]-len([]rune(c))))
		}
		b.WriteString("|\n")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.title)
	line(&b, t.head, "")
	line(&b, nil, "-")
	for _, row := range t.rows {
		line(&b, row, "")
	}
	return b.String()
}
