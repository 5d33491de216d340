package pipeline

import (
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"lain.internal/lain/lain"
)

// countRun answers: how do pushes end, and where does their time go? Labels are from closed sets only.
//
//	lain_runs_total{state="done|failed|cancelled|superseded|interrupted"}
//	lain_run_seconds, lain_stage_seconds{stage="build|rollout|..."}
func countRun(r lain.Run) {
	metrics.GetOrCreateCounter(fmt.Sprintf("lain_runs_total{state=%q}", r.State)).Inc()
	metrics.GetOrCreateHistogram("lain_run_seconds").Update(r.Ended.Sub(r.Created).Seconds())
	for _, s := range r.Stages {
		if s.Skipped == "" && !s.Ended.IsZero() {
			metrics.GetOrCreateHistogram(fmt.Sprintf("lain_stage_seconds{stage=%q}", s.Name)).Update(s.Ended.Sub(s.Started).Seconds())
		}
	}
}

// countFreed answers: what does retention take away?
//
//	lain_retention_removed_total{what="builds|registry|engine|secrets"}
//	lain_retention_freed_bytes_total{what=...}
func countFreed(what string, pieces int, bytes int64) {
	metrics.GetOrCreateCounter(fmt.Sprintf("lain_retention_removed_total{what=%q}", what)).Add(pieces)
	metrics.GetOrCreateCounter(fmt.Sprintf("lain_retention_freed_bytes_total{what=%q}", what)).AddInt64(bytes)
}

// countPass answers: does retention run?
//
//	lain_retention_last_timestamp_seconds
func countPass(at time.Time) {
	metrics.GetOrCreateFloatCounter("lain_retention_last_timestamp_seconds").Set(float64(at.Unix()))
}
