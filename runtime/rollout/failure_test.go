package rollout

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

func TestFailureOf(t *testing.T) {
	ended := func(code int) evidence { return evidence{container: &engine.Container{ExitCode: code}} }
	crash := verdict{cause: causeEnded, times: 3, task: task(2, "new", isFailed)}
	late := verdict{cause: causeLate, after: 90 * time.Second, task: task(1, "new", isStarting)}
	cases := map[string]struct {
		want     lain.ProcWant
		verdict  verdict
		evidence evidence
		sentence string
		signal   string
		hint     string
	}{
		"exit code":        {verdict: crash, evidence: ended(3), sentence: "web ended with exit code 3 (3 times)"},
		"elsewhere":        {verdict: crash, evidence: evidence{exitCode: 4}, sentence: "web ended with exit code 4 (3 times)"},
		"once":             {verdict: verdict{cause: causeEnded, times: 1}, evidence: ended(0), sentence: "web ended with exit code 0 (once)"},
		"signal":           {verdict: crash, evidence: ended(139), sentence: "web was ended by SIGSEGV (3 times)", signal: "SIGSEGV"},
		"no such command":  {verdict: crash, evidence: ended(127), sentence: "web ended with exit code 127 (3 times)", hint: "cmd: the command was not found in the image, or may not be run"},
		"memory":           {verdict: crash, evidence: evidence{container: &engine.Container{ExitCode: 137, OOMKilled: true}}, sentence: "web used more than its 256MiB of memory and was killed (3 times)", signal: "SIGKILL", hint: "memory: 256MiB is the limit; raise it"},
		"nobody listens":   {verdict: late, evidence: evidence{container: &engine.Container{Running: true, LastProbe: "GET http://127.0.0.1:8080/: connection refused"}}, sentence: "web is not healthy after 1m30s", hint: "port: nothing listens on port 8080; let the program listen on $PORT, or set the port it has"},
		"answers badly":    {verdict: late, evidence: evidence{container: &engine.Container{Running: true, LastProbe: "500"}}, sentence: "web is not healthy after 1m30s", hint: "health.deadline: gives it longer to become healthy; setup_time: is when that begins"},
		"worker":           {want: wish(worker), verdict: late, sentence: "web does not stay up: after 1m30s not all 2 instances run", hint: "setup_time: an instance counts when it has run for that long"},
		"no image":         {verdict: verdict{cause: causeImage, words: "No such image: x"}, sentence: "the image of web cannot be pulled: No such image: x"},
		"refused":          {verdict: verdict{cause: causeRefused, words: "invalid mount"}, sentence: "the engine does not start web: invalid mount"},
		"no node":          {verdict: verdict{cause: causeNoNode, words: "no suitable node"}, sentence: "no node can run web: no suitable node"},
		"got sick":         {verdict: verdict{cause: causeSick, times: 3}, evidence: ended(137), sentence: "web was healthy and then was not (3 times)", signal: "SIGKILL"},
		"old ones hang on": {verdict: verdict{cause: causeLeftover, after: time.Minute}, sentence: "older instances of web do not go away after 1m"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.want.App == "" {
				c.want = wish()
			}
			f := failureOf(c.want, c.verdict, c.evidence)
			if f.Sentence != c.sentence || f.Signal != c.signal || f.Hint != c.hint {
				t.Errorf("%q signal %q hint %q", f.Sentence, f.Signal, f.Hint)
			}
		})
	}
}

func TestFailureStaysSmall(t *testing.T) {
	long := strings.Repeat("ä", 1<<20)
	f := failureOf(wish(), verdict{cause: causeRefused, words: long}, evidence{tail: []string{long, "end"}, container: &engine.Container{LastProbe: long}})
	for what, s := range map[string]string{"sentence": f.Sentence, "log": f.LogTail[0], "probe": f.LastProbe} {
		if len(s) > 2*longestLine || !utf8.ValidString(s) {
			t.Errorf("the %s has %d bytes", what, len(s))
		}
	}
	if len(f.LogTail) != 2 || f.LogTail[1] != "end" {
		t.Errorf("log %d lines", len(f.LogTail))
	}
}
