//go:build engine

package engine

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/docker/docker/api/types/swarm"
)

func TestEngine_SecretsComeAndGo(t *testing.T) {
	e := lab(t)
	ctx := t.Context()
	t.Cleanup(func() { removeSecrets(t, e) })
	for name, data := range map[string][]byte{"one": {0, 0xff}, "none": nil, "most": bytes.Repeat([]byte("x"), MaxSecret)} {
		if err := e.CreateSecret(ctx, "hello", string(e.cluster)+name, map[string]string{"x": name, ClusterLabel: "other"}, data); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := e.CreateSecret(ctx, "hello", string(e.cluster)+"one", nil, []byte("other")); !errors.Is(err, ErrChanged) {
		t.Errorf("made twice: %v", err)
	}
	if err := e.CreateSecret(ctx, "hello", "more", nil, make([]byte, MaxSecret+1)); err == nil {
		t.Error("more than there may be is taken")
	}
	list, err := e.Secrets(ctx, "hello")
	if err != nil || len(list) != 3 || list[0].Spec.Labels["x"] == "" || list[0].Spec.Labels[ClusterLabel] != string(e.cluster) {
		t.Errorf("%+v %v", list, err)
	}
	if other, err := e.Secrets(ctx, "other"); err != nil || len(other) != 0 {
		t.Errorf("of another application: %v %v", other, err)
	}
	ids, err := e.SecretIDs(ctx, "hello")
	if err != nil || len(ids) != 3 || ids[list[0].Spec.Name] != list[0].ID {
		t.Errorf("%v %v", ids, err)
	}
	for range 2 { // the second time it is gone already
		if err := e.RemoveSecret(ctx, list[0]); err != nil {
			t.Error(err)
		}
	}
}

func removeSecrets(t *testing.T, e *Engine) {
	list, err := e.Secrets(context.Background(), "")
	if err != nil {
		t.Error(err)
	}
	for _, s := range list {
		if err := e.RemoveSecret(context.Background(), s); err != nil {
			t.Error(err)
		}
	}
}

func TestEngine_SecretsOfOthersAndInUse(t *testing.T) {
	e := lab(t)
	ctx := t.Context()
	made, err := e.api.SecretCreate(ctx, swarm.SecretSpec{Annotations: swarm.Annotations{Name: string(e.cluster) + "foreign"}, Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.api.SecretRemove(context.Background(), made.ID) })
	if list, err := e.Secrets(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("listed: %v %v", list, err)
	}
	if err := e.RemoveSecret(ctx, swarm.Secret{ID: made.ID}); !errors.Is(err, ErrForeign) {
		t.Errorf("removed: %v", err)
	}
	name := string(e.cluster) + "used"
	if err := e.CreateSecret(ctx, "hello", name, nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeSecrets(t, e) })
	ids, err := e.SecretIDs(ctx, "hello")
	if err != nil {
		t.Fatal(err)
	}
	none := uint64(0)
	spec := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: e.ServiceName("hello", "web"), Labels: e.Labels("hello", "web")},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: "none", Secrets: []*swarm.SecretReference{
			{SecretID: ids[name], SecretName: name, File: &swarm.SecretReferenceFileTarget{Name: "/x", UID: "0", GID: "0"}}}}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
	if err := e.CreateService(ctx, spec, ""); err != nil {
		t.Fatal(err)
	}
	used := swarm.Secret{ID: ids[name], Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: name, Labels: e.Labels("hello", "")}}}
	if err := e.RemoveSecret(ctx, used); !errors.Is(err, ErrInUse) {
		t.Errorf("removed while it is in use: %v", err)
	}
	web, err := e.Service(ctx, "hello", "web")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.RemoveService(ctx, web), e.RemoveSecret(ctx, used)); err != nil {
		t.Error(err)
	}
}
