// Package bench measures what docs/performance.md states, each beside what one would do by hand with the same
// programs: plain sshd, git, docker and nginx, in the same node and in the same run, turn by turn.
//
// It runs with "-tags bench" and needs LAIN_BIN (see make bench). LAIN_BENCH_N is how often each pair is
// measured (5), LAIN_BENCH_ONLY a regular expression for the names of what is measured. It prints Markdown.
package bench
