package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, key, name, path string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	routes([]byte(key), name).ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
	return answer.Code, answer.Body.String()
}

func TestGreets(t *testing.T) {
	if code, body := get(t, "key", "", "/"); code != 200 || !strings.HasPrefix(body, greeting+"\n") {
		t.Errorf("answered %d: %q", code, body)
	}
	if _, body := get(t, "key", "Ada", "/"); !strings.HasPrefix(body, greeting+" (to Ada)\n") {
		t.Errorf("HELLO_NAME is not greeted: %q", body)
	}
}

func TestSignsWithItsKey(t *testing.T) {
	_, one := get(t, "key", "", "/")
	_, other := get(t, "another key", "", "/")
	if want := fmt.Sprintf("signed %.8x\n", sign([]byte("key"), greeting)); !strings.HasSuffix(one, want) || one == other {
		t.Errorf("%q and %q", one, other)
	}
}

func TestIsHealthy(t *testing.T) {
	if code, _ := get(t, "key", "", "/healthz"); code != 200 {
		t.Errorf("answered %d", code)
	}
}
