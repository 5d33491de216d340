package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	for path, want := range map[string]string{"/": greeting, "/healthz": "ok"} {
		w := httptest.NewRecorder()
		routes().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.HasPrefix(w.Body.String(), want+"\n") {
			t.Errorf("GET %s: %d %q, want 200 and %q", path, w.Code, w.Body, want)
		}
	}
}
