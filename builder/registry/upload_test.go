package registry

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

func TestWhereAnUploadLies(t *testing.T) {
	const id = "01a21599-5a4e-7ae3-bf40-21b744846102"
	for _, c := range []struct{ method, path, want string }{
		{http.MethodPatch, "/v2/hello/blobs/uploads/" + id, "docker/registry/v2/repositories/hello/_uploads/" + id},
		{http.MethodPut, "/v2/lain/foreign/redis/blobs/uploads/" + id, "docker/registry/v2/repositories/lain/foreign/redis/_uploads/" + id},
		{http.MethodPost, "/v2/hello/blobs/uploads/", ""},
		{http.MethodGet, "/v2/hello/blobs/uploads/" + id, ""},
		{http.MethodPatch, "/v2/../../etc/blobs/uploads/" + id, ""},
		{http.MethodPatch, "/v2/a/../../../../x/blobs/uploads/" + id, ""},
		{http.MethodPatch, "/v2/hello/blobs/uploads/..", ""},
	} {
		req := &http.Request{Method: c.method}
		req.URL = &url.URL{Path: c.path}
		got, ok := uploadOf(req)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s %s: %q, %v", c.method, c.path, got, ok)
		}
	}
}

// A part of a blob that could not be written leaves nothing: here the folder of the upload is no folder.
func TestHalfABlobIsThrownAway(t *testing.T) {
	s := newStore(t)
	req, err := http.NewRequest(http.MethodPost, "http://"+s.host+"/v2/hello/blobs/uploads/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Credential().Username, s.Credential().Password)
	begun, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	begun.Body.Close()
	uploads, err := filepath.Glob(filepath.Join(s.dir, "docker/registry/v2/repositories/hello/_uploads/*"))
	if err != nil || len(uploads) != 1 {
		t.Fatalf("%v, %v", uploads, err)
	}
	data := filepath.Join(uploads[0], "data")
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", data); err != nil {
		t.Fatal(err)
	}
	patch, err := http.NewRequest(http.MethodPatch, begun.Header.Get("Location"), bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	patch.Header.Set("Content-Type", "application/octet-stream")
	patch.SetBasicAuth(s.Credential().Username, s.Credential().Password)
	got, err := http.DefaultClient.Do(patch)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if got.StatusCode < 500 {
		t.Errorf("status %d", got.StatusCode)
	}
	if left, err := os.Stat(uploads[0]); err == nil {
		t.Errorf("%s is left", left.Name())
	}
	s.push("hello:release-1", s.image(1))
}
