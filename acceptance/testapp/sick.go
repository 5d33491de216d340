package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// sickness is what one instance goes through when it is told to fall sick, and what it counts meanwhile.
type sickness struct {
	mu         sync.Mutex
	left       int  // questions of the health check to fail yet
	healthOnly bool // all else is answered as ever
	began      time.Time
	count      sickCount
}

// sickCount is what /sickness tells. The first failed question is the moment that it counts from.
type sickCount struct {
	Failed   int   `json:"failed"`   // questions so far
	Requests []int `json:"requests"` // that came while it was sick and as many questions as their index had failed
	LastMS   int64 `json:"last_ms"`  // from the first failed question to the last of those requests; 0: none came behind it
	Since    int   `json:"since"`    // requests that came since it is well again
}

// fall begins a sickness of n failed questions; 0 ends one.
func (s *sickness) fall(n int, healthOnly bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.healthOnly, s.began, s.count = n, healthOnly, time.Time{}, sickCount{Requests: make([]int, n+1)}
}

// asked reports whether this question of the health check fails.
func (s *sickness) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return false
	}
	if s.count.Failed == 0 {
		s.began = time.Now()
	}
	s.left--
	s.count.Failed++
	return true
}

// requested counts a request and reports whether it fails.
func (s *sickness) requested() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		s.count.Since++
		return false
	}
	s.count.Requests[s.count.Failed]++
	if s.count.Failed > 0 {
		s.count.LastMS = max(1, time.Since(s.began).Milliseconds())
	}
	return !s.healthOnly
}

func (s *sickness) now() sickCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.count
	c.Requests = append([]int{}, c.Requests...)
	return c
}

// over answers what h does, as long as it is not sick. Its own switches, and the health check, are no requests.
func (s *sickness) over(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sick", func(w http.ResponseWriter, r *http.Request) {
		if n, ok := number(w, r, "n"); ok && n <= 1_000_000 {
			s.fall(n, r.FormValue("only") == "health")
		}
	})
	mux.HandleFunc("GET /sickness", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s.now()) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { serveUnless(s.asked(), h, w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { serveUnless(s.requested(), h, w, r) })
	return mux
}

func serveUnless(sick bool, h http.Handler, w http.ResponseWriter, r *http.Request) {
	if sick {
		http.Error(w, "sick as told", http.StatusInternalServerError)
		return
	}
	h.ServeHTTP(w, r)
}
