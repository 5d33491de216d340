package engine

import (
	"errors"
	"testing"

	"lain.internal/lain/lain"
)

func TestSecretReferences(t *testing.T) {
	p := lain.ProcSpec{Secrets: []lain.SecretMount{{Secret: "l-a-v1", Path: "/etc/a", UID: 7, GID: 8, Mode: 0o440}}, Config: &lain.ConfigMount{Secret: "l-c-v2"}}
	refs, err := SecretReferences(p, map[string]string{"l-a-v1": "id1", "l-c-v2": "id2", "l-x-v1": "id3"})
	if err != nil || len(refs) != 2 {
		t.Fatalf("%v %v", refs, err)
	}
	if r := refs[0]; r.SecretID != "id1" || r.SecretName != "l-a-v1" || r.File.Name != "/etc/a" || r.File.UID != "7" || r.File.GID != "8" || r.File.Mode != 0o440 {
		t.Errorf("%+v %+v", r, r.File)
	}
	if r := refs[1]; r.SecretID != "id2" || r.File.Name != "/lain/config" || r.File.Mode != 0o444 {
		t.Errorf("%+v %+v", r, r.File)
	}
	if len(p.Secrets) != 1 {
		t.Error("the specification was changed")
	}
	var missing *MissingSecretError
	if _, err := SecretReferences(p, map[string]string{"l-a-v1": "id1"}); !errors.As(err, &missing) || missing.Name != "l-c-v2" {
		t.Errorf("%v", err)
	}
	if refs, err := SecretReferences(lain.ProcSpec{}, nil); refs != nil || err != nil {
		t.Errorf("without any: %v %v", refs, err)
	}
}
