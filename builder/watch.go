package builder

import (
	"strings"
	"time"

	buildkit "github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"lain.internal/lain/builder/llb"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain/report"
)

// clipMark begins the line that BuildKit writes in place of output it drops (its util/progress/logs).
const clipMark = "[output clipped, "

const clipWarning = "The engine cut this output. Give dockerd the environment BUILDKIT_STEP_LOG_MAX_SIZE=2147483647 " +
	"BUILDKIT_STEP_LOG_MAX_SPEED=2147483647 and restart it, and all of it is kept."

const gapWarning = "Lines are missing here: they came faster than Docker Engine 20.10 hands them on. A newer engine keeps them all."

// watcher turns the progress of a solve into events, and remembers what failed.
type watcher struct {
	stage    string
	reporter report.Reporter
	names    map[digest.Digest]string
	lines    map[stream]*liner
	said     map[digest.Digest]bool
	steps    map[string]int // of a Dockerfile, by name: each is told of when it begins

	failedStep  string // name of the step that failed; "" if none did
	failedEntry int    // its entry, or -1
	entries     map[digest.Digest]int
}

type stream struct {
	vertex digest.Digest
	number int
}

func newWatcher(stage string, r report.Reporter) *watcher {
	return &watcher{stage: stage, reporter: r, names: map[digest.Digest]string{}, lines: map[stream]*liner{},
		said: map[digest.Digest]bool{}, entries: map[digest.Digest]int{}, failedEntry: -1}
}

// watch reads statuses until they end.
func (w *watcher) watch(statuses <-chan *buildkit.SolveStatus) {
	for s := range statuses {
		for _, l := range s.Logs {
			w.liner(l).Write(l.Data)
		}
		for _, v := range s.Vertexes {
			w.vertex(v)
		}
	}
	for _, l := range w.lines {
		l.Flush()
	}
}

func (w *watcher) liner(l *buildkit.VertexLog) *liner {
	at := stream{l.Vertex, l.Stream}
	if w.lines[at] == nil {
		w.lines[at] = &liner{emit: func(line string) { w.line(l.Vertex, line) }}
	}
	return w.lines[at]
}

func (w *watcher) vertex(v *buildkit.Vertex) {
	w.names[v.Digest] = v.Name
	w.announce(v)
	if v.Completed == nil {
		return
	}
	for at, l := range w.lines {
		if at.vertex == v.Digest {
			l.Flush()
		}
	}
	if v.Error != "" && w.failedStep == "" && !strings.Contains(v.Error, "context canceled") {
		w.failedStep, w.failedEntry = v.Name, -1
		if i, ok := w.entries[v.Digest]; ok {
			w.failedEntry = i
		}
	}
	if v.Cached && v.Name == ownStep[w.stage] && !w.said[v.Digest] {
		w.said[v.Digest] = true
		w.report(report.Detail, v.Name+": nothing changed, taken from the cache")
	}
}

// announce tells of a step of a Dockerfile, once.
func (w *watcher) announce(v *buildkit.Vertex) {
	if _, ours := w.steps[v.Name]; !ours || w.said[v.Digest] || v.Started == nil && !v.Cached {
		return
	}
	w.said[v.Digest] = true
	text := oneLine(v.Name, 200)
	if v.Cached {
		text += ": taken from the cache"
	}
	w.report(report.Detail, text)
}

func (w *watcher) line(vertex digest.Digest, line string) {
	if i, ok := llb.FailedEntry(line); ok {
		w.entries[vertex] = i
		return
	}
	before, why, clipped := strings.Cut(line, clipMark)
	if before != "" || !clipped {
		w.report(report.Output, before)
	}
	switch {
	case clipped && strings.HasSuffix(engine.GapMark, why+"\n"):
		w.report(report.Warning, gapWarning)
	case clipped:
		w.report(report.Warning, clipWarning)
	}
}

func (w *watcher) report(kind report.Kind, text string) {
	w.reporter.Report(report.Event{At: time.Now(), Kind: kind, Stage: w.stage, Text: text})
}

// ownStep is the step that a stage is about; the others are there because it builds on them.
var ownStep = map[string]string{"prepare": llb.PrepareScript, "build": llb.BuildScript, "release": llb.ReleaseScript}
