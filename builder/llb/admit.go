package llb

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	bk "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"lain.internal/lain/lain/fault"
)

// builtIn are the names of the frontend that is compiled in. A digest would ask for one frontend and no other.
var builtIn = regexp.MustCompile(`^(docker\.io/)?docker/dockerfile(:(latest|1(\.\d+){0,2}))?$`)

// syntaxArg is the build argument that would choose a frontend, as the first line of a Dockerfile does.
const syntaxArg = "BUILDKIT_SYNTAX"

// checkSyntax refuses a frontend that is not ours: it would be a foreign program that makes the graph.
func (d Dockerfile) checkSyntax() error {
	if v, ok := pairs(d.Args)[syntaxArg]; ok && !builtIn.MatchString(v) {
		return fault.New(fault.Invalid, "the build argument %s names a frontend, and only the built-in one is served", syntaxArg)
	}
	name, _, at, ok := parser.DetectSyntax(d.Text)
	if !ok || builtIn.MatchString(name) {
		return nil
	}
	line := 1
	if len(at) > 0 {
		line = at[0].Start.Line
	}
	return d.At(line, fault.New(fault.Invalid, "a Dockerfile is read by the built-in frontend only, and this names another one").
		WithHint("Leave the line out, or write: # syntax=docker/dockerfile:1"))
}

// admit looks at every operation of a graph: only files of the commit and images that were resolved are its sources, and
// no step asks for more than a build step of ours has. The answer is the line of each step, by the step's name.
func (d Dockerfile) admit(def *bk.Definition, images map[string]bool, secrets map[string]string) (map[string]int, error) {
	steps := map[string]int{}
	for _, data := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(data); err != nil {
			return nil, fmt.Errorf("read the graph of %s: %w", d.Path, err)
		}
		at := digest.FromBytes(data)
		if f := refused(&op, images, secrets); f != nil {
			return nil, d.At(lineFor(def, at), f)
		}
		line := lineOf(def, at)
		if name := def.Metadata[at].Description["llb.customname"]; name != "" && line > 0 && op.GetSource() == nil {
			steps[name] = line
		}
	}
	return steps, nil
}

// lineFor is the line that an operation comes from, or that of the first that takes from it: what ADD would fetch has no
// line of its own.
func lineFor(def *bk.Definition, op digest.Digest) int {
	if line := lineOf(def, op); line > 0 {
		return line
	}
	for _, data := range def.Def {
		var taker pb.Op
		if taker.UnmarshalVT(data) != nil {
			continue
		}
		takes := func(in *pb.Input) bool { return in.Digest == op.String() }
		if line := lineOf(def, digest.FromBytes(data)); line > 0 && slices.ContainsFunc(taker.Inputs, takes) {
			return line
		}
	}
	return 0
}

// lineOf is the line that an operation comes from, or 0.
func lineOf(def *bk.Definition, op digest.Digest) int {
	if def.Source == nil || def.Source.Locations[op.String()] == nil {
		return 0
	}
	for _, l := range def.Source.Locations[op.String()].Locations {
		for _, r := range l.Ranges {
			return int(r.Start.Line)
		}
	}
	return 0
}

func refused(op *pb.Op, images map[string]bool, secrets map[string]string) *fault.Fault {
	switch {
	case op.GetSource() != nil:
		return refusedSource(op.GetSource().Identifier, images)
	case op.GetExec() != nil:
		return refusedStep(op.GetExec(), secrets)
	case op.GetFile() != nil, op.GetMerge() != nil, op.GetDiff() != nil, op.Op == nil:
		return nil
	}
	return fault.New(fault.Invalid, "this needs an operation that is not served")
}

// refusedSource refuses what the engine itself would fetch: it would do so from the server's network, loopback included.
func refusedSource(identifier string, images map[string]bool) *fault.Fault {
	ref, image := strings.CutPrefix(identifier, "docker-image://")
	if image && images[ref] || identifier == "local://"+ContextName {
		return nil
	}
	return fault.New(fault.Invalid, "ADD takes files of the commit only: the server fetches no addresses").
		WithHint("Fetch it in a step, which has the network of a build: RUN wget ADDRESS")
}

func refusedStep(e *pb.ExecOp, secrets map[string]string) *fault.Fault {
	switch {
	case e.Security != pb.SecurityMode_SANDBOX:
		return fault.New(fault.Denied, "RUN --security=insecure is not granted")
	case e.Network == pb.NetMode_HOST:
		return fault.New(fault.Denied, "RUN --network=host is not granted")
	case len(e.CdiDevices) > 0:
		return fault.New(fault.Denied, "RUN --device is not granted")
	}
	for _, m := range e.Mounts {
		if m.MountType == pb.MountType_SSH {
			return fault.New(fault.Invalid, "RUN --mount=type=ssh is not served: there is no SSH agent on the server")
		}
		if s := m.SecretOpt; s != nil && !s.Optional {
			if f := undeclared(s.ID, secrets); f != nil {
				return f
			}
		}
	}
	for _, s := range e.Secretenv {
		if f := undeclared(s.ID, secrets); f != nil && !s.Optional {
			return f
		}
	}
	return nil
}

// undeclared refuses a secret that a step cannot do without and lain.yaml does not name.
func undeclared(name string, secrets map[string]string) *fault.Fault {
	if _, ok := secrets[name]; ok {
		return nil
	}
	return fault.New(fault.Invalid, "this needs the secret %q, which build.secrets of lain.yaml does not name", name).
		WithHint("Add it there: secrets: [NAME]")
}
