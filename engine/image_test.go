package engine

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestReadProgress(t *testing.T) {
	cases := map[string]struct{ stream, digest, err string }{
		"push":         {`{"status":"Pushed"}{"progressDetail":{},"aux":{"Tag":"1","Digest":"sha256:aa","Size":3}}`, "sha256:aa", ""},
		"pull":         {`{"status":"Pulling"}` + "\r\n" + `{"status":"Digest: sha256:bb"}`, "", ""},
		"refused":      {`{"status":"x"}{"errorDetail":{"message":"unauthorized"},"error":"unauthorized"}`, "", "unauthorized"},
		"old error":    {`{"error":"no space"}`, "", "no space"},
		"broken off":   {`{"status":"x"}{"sta`, "", "broke off"},
		"no JSON":      {`<html>`, "", "broke off"},
		"nothing":      {``, "", ""},
		"error at end": {`{"aux":{"Digest":"sha256:aa"}}{"error":"late"}`, "", "late"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			digest, err := readProgress(strings.NewReader(c.stream))
			if digest != c.digest || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("digest %q, error %v", digest, err)
			}
		})
	}
}

func FuzzReadProgress(f *testing.F) {
	f.Add(`{"aux":{"Digest":"sha256:aa"}}`)
	f.Add(`{"errorDetail":{"message":"x"}}`)
	f.Add(`{"aux":[]}`)
	f.Fuzz(func(t *testing.T, stream string) {
		if digest, err := readProgress(strings.NewReader(stream)); err != nil && digest != "" {
			t.Errorf("digest %q beside error %v", digest, err)
		}
	})
}

func TestAuthHidesItsPassword(t *testing.T) {
	a := Auth{Username: "lain", Password: "sesame"}
	for _, s := range []string{a.String(), fmt.Sprintf("%v %+v %#v", a, a, a)} {
		if strings.Contains(s, "sesame") {
			t.Errorf("a log would show %q", s)
		}
	}
	data, err := base64.URLEncoding.DecodeString(a.Header())
	if err != nil || string(data) != `{"username":"lain","password":"sesame"}` {
		t.Errorf("header %q, %v", data, err)
	}
}
