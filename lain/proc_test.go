package lain

import (
	"strings"
	"testing"
)

func TestImageRef(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	own := ImageRef{Repository: "hello", Digest: digest}
	if got, want := own.On("registry:5000"), "registry:5000/hello@"+digest; got != want {
		t.Errorf("own: %s, want %s", got, want)
	}
	foreign := ImageRef{Repository: "docker.io/library/nginx", Digest: digest, Foreign: true}
	if got, want := foreign.On("registry:5000"), "docker.io/library/nginx@"+digest; got != want {
		t.Errorf("foreign: %s, want %s", got, want)
	}
	if err := own.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []ImageRef{{}, {Repository: "hello"}, {Digest: digest}, {Repository: "hello", Digest: "latest"}, {Repository: "hello", Digest: digest + "a"}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestRoute_URL(t *testing.T) {
	cases := []struct {
		path, scheme string
		port         int
		want         string
	}{
		{"/", "http", 80, "http://a.test/"},
		{"/", "http", 0, "http://a.test/"},
		{"/api/", "http", 8080, "http://a.test:8080/api/"},
		{"/", "https", 443, "https://a.test/"},
		{"/", "https", 80, "https://a.test:80/"},
	}
	for _, c := range cases {
		if got := (Route{Host: "a.test", Path: c.path}).URL(c.scheme, c.port); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	if got := NumberKey("hello", 12); got != "hello/0000000012" {
		t.Error(got)
	}
	if got := ProcKey("hello", "web"); got != "hello/web" {
		t.Error(got)
	}
	for key, want := range map[string]ProcWant{
		"hello/web":         {App: "hello", Spec: ProcSpec{Name: "web", Type: Web}},
		"hello/web.oneshot": {App: "hello", Spec: ProcSpec{Name: "web", Type: Oneshot}},
	} {
		app, proc, oneshot, ok := SplitProcKey(want.Key())
		if want.Key() != key || !ok || app != "hello" || proc != "web" || oneshot != (want.Spec.Type == Oneshot) {
			t.Errorf("%s: %s is of %s, %s, oneshot %t, %t", key, want.Key(), app, proc, oneshot, ok)
		}
	}
	for _, key := range []string{"hello", "hello/", "hello/.oneshot", "hello/web.other", "Hello/web"} {
		if _, _, _, ok := SplitProcKey(key); ok {
			t.Errorf("%q names a proc", key)
		}
	}
	if r := (Release{Number: 7}); r.Version() != "v7" {
		t.Error(r.Version())
	}
	if r := (Run{Number: 42}); r.ID() != "r-42" {
		t.Error(r.ID())
	}
	for state, ended := range map[RunState]bool{RunQueued: false, RunRunning: false, RunDone: true, RunFailed: true, RunCancelled: true, RunSuperseded: true, RunInterrupted: true} {
		if state.Ended() != ended {
			t.Errorf("%s: ended is %v", state, state.Ended())
		}
	}
}
