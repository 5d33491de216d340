//go:build engine

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

func lab(t *testing.T) *Engine {
	t.Helper()
	host := os.Getenv("LAIN_TEST_DOCKER_HOST")
	if host == "" {
		t.Fatal("LAIN_TEST_DOCKER_HOST must name an engine of the lab")
	}
	e, err := Open(t.Context(), host, lain.Cluster(fmt.Sprintf("e%d", time.Now().UnixNano()%1e12)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestEngine_EnsureSwarmLeavesAnActiveOneAlone(t *testing.T) {
	e := lab(t)
	before, err := e.api.SwarmInspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.EnsureSwarm(t.Context(), SwarmOptions{AddressPool: []string{"10.199.0.0/16"}}); err != nil {
		t.Fatal(err)
	}
	after, err := e.api.SwarmInspect(t.Context())
	if err != nil || after.ID != before.ID || after.Version != before.Version {
		t.Errorf("the swarm was changed: %v", err)
	}
	id, err := e.NodeID(t.Context())
	nodes, err2 := e.Nodes(t.Context())
	addr, err3 := e.NodeAddr(t.Context())
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(nodes) == 0 || nodes[0].ID != id || nodes[0].Address != addr || nodes[0].CPUs == 0 || !nodes[0].Ready {
		t.Errorf("node %s at %s is not the one of %+v", id, addr, nodes)
	}
}

func TestEngine_NetworkComesAndGoes(t *testing.T) {
	e := lab(t)
	first, err := e.EnsureNetwork(t.Context(), "hello")
	again, err2 := e.EnsureNetwork(t.Context(), "hello")
	if err := errors.Join(err, err2); err != nil || first != again || first == "" {
		t.Fatalf("%q, then %q: %v", first, again, err)
	}
	apps, err := e.Networks(t.Context())
	if err != nil || len(apps) != 1 || apps[0] != "hello" {
		t.Errorf("networks of %v: %v", apps, err)
	}
	for range 2 { // the second time it is gone already
		if err := e.RemoveNetwork(t.Context(), "hello"); err != nil {
			t.Error(err)
		}
	}
}

// What has our name but not our label is somebody else's.
func TestEngine_ForeignThingsAreNotTouched(t *testing.T) {
	e := lab(t)
	none := uint64(0)
	spec := swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: e.ServiceName("hello", "web"), Labels: map[string]string{}},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: "none"}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
	made, err := e.api.ServiceCreate(t.Context(), spec, swarm.ServiceCreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.api.ServiceRemove(context.Background(), made.ID) })
	if _, err := e.Service(t.Context(), "hello", "web"); !errors.Is(err, ErrForeign) {
		t.Errorf("found: %v", err)
	}
	foreign := swarm.Service{ID: made.ID, Spec: spec}
	if err := e.RemoveService(t.Context(), foreign); !errors.Is(err, ErrForeign) {
		t.Errorf("removed: %v", err)
	}
	if err := e.UpdateService(t.Context(), foreign, spec, ""); !errors.Is(err, ErrForeign) {
		t.Errorf("updated: %v", err)
	}
	if list, err := e.Services(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("listed: %v %v", list, err)
	}
	name := e.NetworkName("hello")
	if _, err := e.api.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: "overlay"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.api.NetworkRemove(context.Background(), name) })
	if _, err := e.EnsureNetwork(t.Context(), "hello"); !errors.Is(err, ErrForeign) {
		t.Errorf("network taken: %v", err)
	}
	if err := e.RemoveNetwork(t.Context(), "hello"); !errors.Is(err, ErrForeign) {
		t.Errorf("network removed: %v", err)
	}
}

func TestEngine_OldVersionsAndDoublesAreTold(t *testing.T) {
	e := lab(t)
	none := uint64(0)
	spec := swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: e.ServiceName("hello", "web"), Labels: e.Labels("hello", "web")},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: "none"}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
	if _, err := e.Service(t.Context(), "hello", "web"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if err := e.CreateService(t.Context(), spec, ""); err != nil {
		t.Fatal(err)
	}
	if err := e.CreateService(t.Context(), spec, ""); !errors.Is(err, ErrChanged) {
		t.Errorf("made twice: %v", err)
	}
	old, err := e.Service(t.Context(), "hello", "web")
	if err != nil {
		t.Fatal(err)
	}
	spec.Labels["x"] = "y"
	if err := e.UpdateService(t.Context(), old, spec, ""); err != nil {
		t.Error(err)
	}
	if err := e.UpdateService(t.Context(), old, spec, ""); !errors.Is(err, ErrChanged) {
		t.Errorf("updated from an old version: %v", err)
	}
	for range 2 {
		if err := e.RemoveService(t.Context(), old); err != nil {
			t.Error(err)
		}
	}
}
