package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// probeTime bounds what /fetch and /dial wait for.
const probeTime = 2 * time.Second

func (a *app) index(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "%s\n%s\n", a.o.version, a.host)
}

func (a *app) healthz(w http.ResponseWriter, _ *http.Request) {
	if a.o.unhealthy {
		http.Error(w, "unhealthy as told", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ok")
}

func echo(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%x %d\n", sum.Sum(nil), n)
}

func (a *app) slow(w http.ResponseWriter, r *http.Request) {
	ms, ok := number(w, r, "ms")
	if ok && sleep(r.Context(), time.Duration(ms)*time.Millisecond) {
		a.index(w, r)
	}
}

func stream(w http.ResponseWriter, r *http.Request) {
	s, ok := number(w, r, "s")
	if !ok {
		return
	}
	flush := http.NewResponseController(w)
	for i := range s * 10 {
		fmt.Fprintf(w, "line %d of %d\n", i+1, s*10)
		if flush.Flush() != nil || !sleep(r.Context(), 100*time.Millisecond) {
			return
		}
	}
}

func env(w http.ResponseWriter, r *http.Request) {
	value, ok := os.LookupEnv(r.FormValue("k"))
	if !ok {
		http.Error(w, "not set", http.StatusNotFound)
		return
	}
	fmt.Fprint(w, value)
}

func file(w http.ResponseWriter, r *http.Request) {
	text, err := os.ReadFile(r.FormValue("p"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	_, _ = w.Write(text)
}

// fetch answers 200 with what happened either way, since its caller asks whether it can be reached at all.
func fetch(w http.ResponseWriter, r *http.Request) {
	client := http.Client{Timeout: probeTime}
	resp, err := client.Get(r.FormValue("url"))
	if err != nil {
		fmt.Fprintf(w, "error: %v\n", err)
		return
	}
	defer resp.Body.Close()
	fmt.Fprintln(w, resp.Status)
	_, _ = io.Copy(w, io.LimitReader(resp.Body, 64<<10))
}

func dial(w http.ResponseWriter, r *http.Request) {
	c, err := net.DialTimeout("tcp", r.FormValue("addr"), probeTime)
	if err != nil {
		fmt.Fprintf(w, "error: %v\n", err)
		return
	}
	_ = c.Close()
	fmt.Fprintln(w, "ok")
}

func logLines(w http.ResponseWriter, r *http.Request) {
	if n, ok := number(w, r, "n"); ok {
		printLines(os.Stdout, n)
		fmt.Fprintf(w, "printed %d lines\n", n)
	}
}

// number reads a query value that must be a number, and answers 400 where it is not.
func number(w http.ResponseWriter, r *http.Request, key string) (int, bool) {
	n, err := strconv.Atoi(r.FormValue(key))
	if err != nil || n < 0 {
		http.Error(w, key+" is not a number", http.StatusBadRequest)
		return 0, false
	}
	return n, true
}
