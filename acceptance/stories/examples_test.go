//go:build acceptance

package stories

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"lain.internal/lain/acceptance/town"
)

// examples are the applications in examples/: what they answer, and what else there is to see.
var examples = map[string]struct {
	answers map[string]string // a part of the answer, by path
	prepare func(*testing.T, *town.App)
	more    func(*testing.T, *town.Town, *town.App, town.Result)
}{
	"hello":      {answers: map[string]string{"/": "Hello from Lain!"}, prepare: withItsSecret},
	"python":     {answers: map[string]string{"/": "Hello from Python!"}},
	"node":       {answers: map[string]string{"/": "Hello from Node!"}},
	"static":     {answers: map[string]string{"/": "Hello from a static site!", "/style.css": "sans-serif"}},
	"dockerfile": {answers: map[string]string{"/": "Hello from a Dockerfile!"}},
	"procs":      {answers: map[string]string{"/": "Hello from three procs!"}, more: threeProcs},
	"paths":      {answers: map[string]string{"/": "Hello from the site!", "/api/version": `{"version": 1}`}},
	"foreign":    {answers: map[string]string{"/": "Hello beside a foreign image!", "/cgi-bin/cache": "kept by the cache"}},
	"chat":       {answers: map[string]string{"/": "Hello from the chat!"}, prepare: vendored, more: chatting},
	"grpc":       {prepare: vendored, more: greeted},
}

// Every example is pushed as it lies there, serves, and is pushed again.
func TestExamples(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Bases: []string{"golang", "python", "node"}, Args: []string{"--router-http2-addr", ":81"}})
	dirs, err := os.ReadDir("../../examples")
	must(t, err)
	for _, d := range dirs {
		if !d.IsDir() || d.Name() == "bases" {
			continue
		}
		t.Run(d.Name(), func(t *testing.T) { anExample(t, tw, d.Name()) })
	}
}

func anExample(t *testing.T, tw *town.Town, name string) {
	example, known := examples[name]
	if !known {
		t.Fatalf("nothing is known of the example %s: say here what it answers", name)
	}
	app := tw.NewAppFrom(t, name, filepath.Join("../../examples", name))
	if example.prepare != nil {
		example.prepare(t, app)
	}
	app.Commit("the example")
	pushed := app.MustPush()
	for path, want := range example.answers {
		code, body, err := tw.Get(app.Host(), path)
		if err != nil || code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %v\n%s", path, code, err, body)
		}
	}
	if example.more != nil {
		example.more(t, tw, app, pushed)
	}
	app.Commit("the same again")
	if again := app.MustPush(); !strings.Contains(again.Stderr, "Already built by r-1 from the same files") {
		t.Errorf("the same files are built again:\n%s", again.Stderr)
	}
}

// withItsSecret puts the secret that hello asks for.
func withItsSecret(t *testing.T, app *town.App) {
	put := app.Client(t, "a key of its own", "secret", "put", "conf/signing.key")
	if put.Code != 0 {
		t.Fatalf("secret put: exit %d\n%s", put.Code, put.All())
	}
}

// vendored puts the modules into the tree, from this machine's module cache: builds have no network.
func vendored(t *testing.T, app *town.App) {
	cmd := exec.Command("go", "mod", "vendor")
	cmd.Dir = app.Dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go mod vendor: %v\n%s", err, out)
	}
}

// threeProcs looks that the oneshot ran, and before the others.
func threeProcs(t *testing.T, tw *town.Town, app *town.App, pushed town.Result) {
	inOrder(t, pushed.Stderr, "the data is ready for v1", "Rolling out v1", "v1 serves")
	app.Eventually("the worker works", time.Minute, func() error {
		if said := tw.Verb(t, "logs "+app.Name+" -p worker"); !strings.Contains(said, "working") {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
}

// greeted calls the service.
func greeted(t *testing.T, tw *town.Town, app *town.App, _ town.Result) {
	conn, err := grpc.NewClient("passthrough:///"+tw.IP()+":81", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(app.Host()))
	must(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var greeting wrapperspb.StringValue
	if err := conn.Invoke(ctx, "/hello.Greeter/Greet", wrapperspb.String("dear"), &greeting); err != nil || greeting.GetValue() != "Hello dear from gRPC!" {
		t.Errorf("%q, %v", greeting.GetValue(), err)
	}
}

// chatting has two people hear one another.
func chatting(t *testing.T, tw *town.Town, app *town.App, _ town.Result) {
	dial := func() *websocket.Conn {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+tw.IP()+"/room", http.Header{"Host": {app.Host()}})
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		must(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		return c
	}
	one, two := dial(), dial()
	heard := func(c *websocket.Conn, want string) {
		t.Helper()
		for {
			_, text, err := c.ReadMessage()
			must(t, err)
			if string(text) == want {
				return
			}
		}
	}
	must(t, two.WriteMessage(websocket.TextMessage, []byte("I am here")))
	heard(two, "I am here") // from now on two hears everything
	must(t, one.WriteMessage(websocket.TextMessage, []byte("hello, two")))
	heard(two, "hello, two")
	heard(one, "hello, two")
}
