//go:build bench

package bench

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

//go:embed deploy.sh
var deployScript string

const dockerfile = `FROM lain/testapp:1
WORKDIR /lain/app
COPY . .
RUN echo building
CMD ["/bin/testapp", "-version-file", "/lain/app/VERSION"]
`

// live measures from a push to the new version's first answer, both sides with the same application, two
// instances and a health check every 500 ms.
func live(t *testing.T, w *world) []*table {
	app := w.NewApp(t, "live")
	app.Manifest("", "  num_instances: 2")
	app.Write("Dockerfile", dockerfile)
	app.Change("warm")
	w.plain.deployment(t)
	url := w.plain.url("deploy.git")
	_ = w.pushPlain(t, app, url, "patient")
	app.MustPush()

	stages := map[string]sample{}
	steps := map[string]sample{}
	s := sampled(w.n,
		func(i int) time.Duration { app.Change(fmt.Sprintf("lain-%d", i)); return w.pushLain(t, app, stages) },
		func(i int) time.Duration {
			app.Change(fmt.Sprintf("plain-%d", i))
			return w.pushPlain(t, app, url, "hurry", steps)
		},
		func(i int) time.Duration {
			app.Change(fmt.Sprintf("patient-%d", i))
			return w.pushPlain(t, app, url, "patient")
		})
	out := &table{title: "Push to live", head: []string{"two instances, warm", "lain", "by hand", "ratio", "aim"}}
	out.pair("one line changed; by hand in a hurry (all at once, monitor 1 s)", s[0], s[1], 1.15)
	out.pair("one line changed; by hand with Swarm's defaults (one by one, monitor 5 s)", s[0], s[2], 1.15)

	app.MustPush()
	again := map[string]sample{}
	s = sampled(w.n,
		func(int) time.Duration { app.Commit("the same tree"); return w.pushLain(t, app, again) },
		func(int) time.Duration { app.Commit("the same tree"); return w.pushPlain(t, app, url, "hurry") })
	out.pair("the same tree again; by hand in a hurry (all at once, monitor 1 s)", s[0], s[1], 0)
	return []*table{out, split("Where Lain's time goes", "stage", stages, again), split("Where the time goes by hand", "step", steps)}
}

// deployment sets up what the script by hand needs: a repository with the script as its hook, and an nginx.
func (p *plain) deployment(t *testing.T) {
	t.Helper()
	p.write(t, "upstream.conf", "upstream plain { server 127.0.0.1:9; }\n", 0o644)
	p.write(t, "nginx.conf", fmt.Sprintf(`pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
user root;
worker_processes 2;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  include %[1]s/upstream.conf;
  server { listen %[2]d; location / { proxy_pass http://plain; } }
}
`, p.dir, plainHTTP), 0o644)
	if out, err := p.tw.Exec(t.Context(), "nginx", "-c", p.path("nginx.conf")); err != nil {
		t.Fatalf("nginx: %v\n%s", err, out)
	}
	t.Cleanup(func() { _, _ = p.tw.Exec(context.Background(), "nginx", "-c", p.path("nginx.conf"), "-s", "stop") })
	docker, kit := p.docker(t)
	head := fmt.Sprintf("#!/bin/bash\nexport PATH=%q DOCKER_HOST=%q DOCKER_BUILDKIT=%s\nDIR=%q IP=%s\ndocker() { %s \"$@\"; }\nexport -f docker\n",
		os.Getenv("PATH")+":/usr/sbin:/sbin", p.tw.Lab.DockerHost("n1"), kit, p.dir, p.tw.IP(), docker)
	p.repo(t, "deploy.git", "post-receive", head+deployScript)
}

// docker finds a client that builds with BuildKit, the distribution's own before others, or says 0 for the
// classic builder.
func (p *plain) docker(t *testing.T) (path, kit string) {
	t.Helper()
	p.write(t, "try/Dockerfile", "FROM lain/testapp:1\n", 0o644)
	for _, name := range []string{"/usr/bin/docker", "docker"} {
		cmd := exec.Command(name, "-H", p.tw.Lab.DockerHost("n1"), "build", "-q", p.path("try"))
		cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=1")
		if cmd.Run() == nil {
			return name, "1"
		}
	}
	return "docker", "0"
}

func (w *world) pushLain(t *testing.T, app *town.App, stages map[string]sample) time.Duration {
	t.Helper()
	began := time.Now()
	took(t, app.GitCommand("push", "lain", "main"), 0)
	version := read(t, app.Dir+"/VERSION")
	app.Serves(version)
	d := time.Since(began)
	w.split(t, app, began, d, stages)
	return d
}

// split adds what the run's record says of its stages.
func (w *world) split(t *testing.T, app *town.App, began time.Time, whole time.Duration, into map[string]sample) {
	t.Helper()
	type record struct {
		Created, Ended time.Time
		Stages         []struct {
			Name, Skipped  string
			Started, Ended time.Time
		}
	}
	runs := town.JSON[[]record](t, w.Town, "runs "+app.Name+" -n 1")
	if len(runs) != 1 {
		t.Fatalf("%d runs", len(runs))
	}
	r := runs[0]
	rest := whole - r.Created.Sub(began)
	into["connect and receive"] = append(into["connect and receive"], r.Created.Sub(began))
	for _, s := range r.Stages {
		if s.Skipped == "" {
			into[s.Name] = append(into[s.Name], s.Ended.Sub(s.Started))
			rest -= s.Ended.Sub(s.Started)
		}
	}
	into["between, and answer"] = append(into["between, and answer"], rest)
}

func (w *world) pushPlain(t *testing.T, app *town.App, url, how string, steps ...map[string]sample) time.Duration {
	t.Helper()
	began := time.Now()
	_, out := took(t, app.GitCommand("push", "-o", how, url, "main"), 0)
	version := read(t, app.Dir+"/VERSION")
	if err := town.Until(t.Context(), 3*time.Minute, func() error { return w.plain.answers(version) }); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := time.Since(began)
	if len(steps) == 0 {
		return d
	}
	rest := d
	for line := range strings.Lines(out) {
		var name string
		var us int
		if _, text, ok := strings.Cut(line, "remote: step "); ok {
			if _, err := fmt.Sscan(text, &name, &us); err == nil {
				steps[0][name] = append(steps[0][name], time.Duration(us)*time.Microsecond)
				rest -= time.Duration(us) * time.Microsecond
			}
		}
	}
	steps[0]["push and answer"] = append(steps[0]["push and answer"], rest)
	return d
}

func (p *plain) answers(version string) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://%s:%d/", p.tw.IP(), plainHTTP))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var got [64]byte
	n, _ := resp.Body.Read(got[:])
	if !strings.HasPrefix(string(got[:n]), version+"\n") {
		return fmt.Errorf("it answers %q", got[:n])
	}
	return nil
}

// split is a table of medians, in the order of time.
func split(title, what string, columns ...map[string]sample) *table {
	order := []string{"connect and receive", "read", "prepare", "build", "test", "release", "push", "oneshot", "rollout", "routes", "ref", "between, and answer",
		"push and answer", "checkout", "update", "reload"}
	out := &table{title: title, head: []string{what, "one line changed", "same tree again"}[:1+len(columns)]}
	for _, name := range order {
		row, any := []any{name}, false
		for _, c := range columns {
			slices.Sort(c[name])
			row, any = append(row, c[name]), any || len(c[name]) > 0
		}
		if any {
			out.add(row...)
		}
	}
	for _, c := range columns {
		for name := range c {
			if !slices.Contains(order, name) {
				out.add(name, c[name])
			}
		}
	}
	return out
}
