package rollout

import (
	"fmt"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// What follows makes small worlds for the tests of decide and judge: a service of attempt 2, and tasks.

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

func wish(change ...func(*lain.ProcSpec)) lain.ProcWant {
	p := lain.ProcSpec{Name: "web", Type: lain.Web, Instances: 2, Port: 8080, Deadline: 30 * time.Second}
	for _, f := range change {
		f(&p)
	}
	return lain.ProcWant{App: "hello", Release: 7, Attempt: 2, Spec: p}
}

func worker(p *lain.ProcSpec)    { p.Port, p.Type = 0, lain.Worker }
func none(p *lain.ProcSpec)      { p.Instances = 0 }
func slowSetup(p *lain.ProcSpec) { p.SetupTime = 20 * time.Second }
func instances(n int) func(*lain.ProcSpec) {
	return func(p *lain.ProcSpec) { p.Instances = n }
}

// service was given to the engine at noon, for an attempt and a number of instances, of spec "new".
func service(attempt, replicas int) *swarm.Service {
	n := uint64(replicas)
	s := &swarm.Service{ID: "s1"}
	s.Spec.Labels = map[string]string{AttemptLabel: fmt.Sprint(attempt), BeganLabel: noon.Format(time.RFC3339Nano)}
	s.Spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &n}
	s.Spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Labels: map[string]string{SpecLabel: "new"}}
	return s
}

func updating(state swarm.UpdateState, s *swarm.Service) *swarm.Service {
	s.UpdateStatus = &swarm.UpdateStatus{State: state}
	return s
}

// task is wanted, and has been in its state since a second after noon.
func task(slot int, spec string, state swarm.TaskState, change ...func(*swarm.Task)) swarm.Task {
	t := swarm.Task{ID: fmt.Sprintf("%s-%d-%s", spec, slot, state), Slot: slot, NodeID: "n1", DesiredState: swarm.TaskStateRunning}
	t.CreatedAt, t.Status.State, t.Status.Timestamp = noon, state, after(time.Second)
	t.Spec.ContainerSpec = &swarm.ContainerSpec{Labels: map[string]string{SpecLabel: spec}, Env: []string{"LAIN_RELEASE=v7"}}
	if broken(t) {
		t.DesiredState = swarm.TaskStateShutdown
	}
	for _, f := range change {
		f(&t)
	}
	return t
}

func desired(s swarm.TaskState) func(*swarm.Task) { return func(t *swarm.Task) { t.DesiredState = s } }
func saying(text string) func(*swarm.Task)        { return func(t *swarm.Task) { t.Status.Err = text } }
func created(at time.Time) func(*swarm.Task)      { return func(t *swarm.Task) { t.CreatedAt = at } }
func published(port uint32) func(*swarm.Task) {
	return func(t *swarm.Task) {
		p := swarm.PortConfig{TargetPort: 8080, PublishedPort: port, PublishMode: swarm.PortConfigPublishModeHost}
		t.Status.PortStatus.Ports = []swarm.PortConfig{p, p}
	}
}

func world(s *swarm.Service, tasks ...swarm.Task) have {
	return have{service: s, tasks: tasks, nodes: map[string]engine.Node{
		"n1": {ID: "n1", Name: "one", Address: "10.0.0.11", CPUs: 4e9, Ready: true},
		"n2": {ID: "n2", Name: "two", Address: "0.0.0.0", CPUs: 2e9, Ready: true},
	}}
}
