package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// printLines prints n numbered lines, so that a reader can tell which are missing.
func printLines(w io.Writer, n int) {
	b := bufio.NewWriter(w)
	defer b.Flush()
	for i := range n {
		fmt.Fprintf(b, "line %d of %d\n", i+1, n)
	}
}

// printFiles prints the content of files, each behind its name, or why it cannot be read.
func printFiles(w io.Writer, paths []string) {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(w, "%s: %s\n", path, text)
	}
}

// tick prints a numbered line each time that pause is over, until ctx ends, and then how many they were.
func tick(ctx context.Context, w io.Writer, version string, pause time.Duration) error {
	for i := 1; ; i++ {
		if _, err := fmt.Fprintf(w, "tick %d of %s\n", i, version); err != nil {
			return err
		}
		if !sleep(ctx, pause) {
			_, err := fmt.Fprintf(w, "worker %s ends after %d ticks\n", version, i)
			return err
		}
	}
}

// eat allocates and touches memory, 8 MiB every 10 ms, until the kernel ends the process or ctx does.
func eat(ctx context.Context) error {
	fmt.Println("testapp: eating memory as told")
	var eaten [][]byte
	for sleep(ctx, 10*time.Millisecond) {
		block := make([]byte, 8<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		eaten = append(eaten, block)
	}
	return fmt.Errorf("was not killed after %d MiB", len(eaten)*8)
}
