// Command chatter is a build step that talks: it prints lines that carry the time they were written.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	n := flag.Int("n", 1000, "how many lines")
	rate := flag.Int("rate", 0, "lines per second, written every millisecond; 0: as fast as they are taken")
	flag.Parse()
	if err := talk(*n, *rate); err != nil {
		os.Exit(1)
	}
}

func talk(n, rate int) error {
	out := bufio.NewWriterSize(os.Stdout, 32<<10)
	began := time.Now()
	for i := 0; i < n; {
		due := n
		if rate > 0 {
			due = min(n, int(time.Since(began).Seconds()*float64(rate)))
		}
		for ; i < due; i++ {
			fmt.Fprintf(out, "@%d line %d of a build that has a lot to say\n", time.Now().UnixNano(), i)
		}
		if rate > 0 {
			if err := out.Flush(); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
	}
	return out.Flush()
}
