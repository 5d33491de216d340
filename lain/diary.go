package lain

import "time"

// Happening is what became of an instance.
type Happening string

// What may become of one.
const (
	Started Happening = "started" // its container runs
	Died    Happening = "died"    // it ended without having been told to, or did not start
	Unwell  Happening = "unwell"  // its health probe failed
	Well    Happening = "well"    // and is good again
)

// DiaryLine is one or several like things that happened to one instance.
type DiaryLine struct {
	First    time.Time `json:"first"`
	At       time.Time `json:"at"`    // the last of them
	Times    int       `json:"times"` // at least 1
	What     Happening `json:"what"`
	Proc     ProcName  `json:"proc"`
	Instance int       `json:"instance"`
	Release  int       `json:"release"`
	ExitCode *int      `json:"exit_code,omitempty"`
	OOM      bool      `json:"oom,omitempty"`
	Reason   string    `json:"reason,omitempty"` // one line
}

// Diary is what happened to the instances of an application lately, in the order of At. Key: diary/<app>.
type Diary struct {
	App   AppName     `json:"app"`
	Lines []DiaryLine `json:"lines"`
}

// What a diary keeps.
const (
	DiaryLines = 200
	DiaryFor   = 30 * 24 * time.Hour
	diarySame  = time.Hour // so long the same is one line
)

// Add puts a line at the end. One that says the same of the same instance as an earlier line of the last hour is
// counted there, and that one goes to the end: a crash loop is two lines an hour. known tells whether it was so.
func (d *Diary) Add(line DiaryLine) (known bool) {
	for i, old := range d.Lines {
		if old.same(line) && line.At.Sub(old.First) < diarySame {
			line.First, line.Times, known = old.First, old.Times+line.Times, true
			d.Lines = append(d.Lines[:i:i], d.Lines[i+1:]...)
			break
		}
	}
	d.Lines = append(d.Lines, line)
	for len(d.Lines) > DiaryLines || line.At.Sub(d.Lines[0].At) > DiaryFor {
		d.Lines = d.Lines[1:]
	}
	return known
}

func (l DiaryLine) same(o DiaryLine) bool {
	return l.What == o.What && l.Proc == o.Proc && l.Instance == o.Instance && l.Release == o.Release && l.OOM == o.OOM &&
		l.Reason == o.Reason && (l.ExitCode == nil) == (o.ExitCode == nil) && (l.ExitCode == nil || *l.ExitCode == *o.ExitCode)
}
