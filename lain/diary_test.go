package lain

import (
	"testing"
	"time"
)

func TestADiaryCountsWhatIsTheSame(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one := 1
	var d Diary
	say := func(after time.Duration, what Happening, code *int) bool {
		at := begin.Add(after)
		return d.Add(DiaryLine{First: at, At: at, Times: 1, What: what, Proc: "web", Instance: 1, ExitCode: code})
	}
	for i := range 100 { // a crash loop
		died, started := say(time.Duration(i)*10*time.Second, Died, &one), say(time.Duration(i)*10*time.Second+time.Second, Started, nil)
		if died != (i > 0) || started != (i > 0) {
			t.Errorf("crash %d: known %v %v", i, died, started)
		}
	}
	if len(d.Lines) != 2 || d.Lines[0].Times != 100 || d.Lines[0].What != Died || !d.Lines[0].First.Equal(begin) || !d.Lines[0].At.Equal(begin.Add(990*time.Second)) {
		t.Errorf("%+v", d.Lines)
	}
	if two := 2; say(1000*time.Second, Died, &two) || len(d.Lines) != 3 {
		t.Errorf("another exit code: %+v", d.Lines)
	}
	if say(2*time.Hour, Died, &one) || len(d.Lines) != 4 {
		t.Errorf("much later: %+v", d.Lines)
	}
	if say(DiaryFor+3*time.Hour, Well, nil); len(d.Lines) != 1 {
		t.Errorf("too old: %+v", d.Lines)
	}
}

func TestADiaryIsBounded(t *testing.T) {
	var d Diary
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 * DiaryLines {
		d.Add(DiaryLine{First: at, At: at, Times: 1, What: Started, Instance: i})
	}
	if len(d.Lines) != DiaryLines || d.Lines[0].Instance != 2*DiaryLines {
		t.Errorf("%d lines, the first of %d", len(d.Lines), d.Lines[0].Instance)
	}
}
