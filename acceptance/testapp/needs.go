package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

const (
	needEvery = 500 * time.Millisecond
	needTime  = 10 * time.Second // a slow machine is not a need that is gone
	needGone  = 4                // exit code
)

// ask is nil when what the application needs answers 200. at says when it is asked: start or work.
func ask(ctx context.Context, url, at string) error {
	ctx, cancel := context.WithTimeout(ctx, needTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?at="+at, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// keepAsking ends the process as soon as what it needs does not answer.
func keepAsking(ctx context.Context, url string) {
	for sleep(ctx, needEvery) {
		if err := ask(ctx, url, "work"); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "testapp: cannot work:", err)
			os.Exit(needGone)
		}
	}
}
