package llb

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	bk "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// dump is a graph as text: one numbered paragraph per operation, inputs by number.
func dump(t *testing.T, st bk.State) string {
	t.Helper()
	def, err := st.Marshal(t.Context(), bk.LinuxAmd64)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	numbers := map[digest.Digest]int{}
	for i, data := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(data); err != nil {
			t.Fatal(err)
		}
		at := digest.FromBytes(data)
		numbers[at] = i + 1
		var inputs []string
		for _, in := range op.Inputs {
			inputs = append(inputs, fmt.Sprintf("%d.%d", numbers[digest.Digest(in.Digest)], in.Index))
		}
		meta := def.Metadata[at]
		fmt.Fprintf(&b, "%d [%s] <- %s", i+1, meta.Description["llb.customname"], strings.Join(inputs, " "))
		if meta.IgnoreCache {
			b.WriteString(" never cached")
		}
		b.WriteByte('\n')
		dumpOp(&b, &op)
	}
	return b.String()
}

func dumpOp(b *strings.Builder, op *pb.Op) {
	switch {
	case op.GetSource() != nil:
		delete(op.GetSource().Attrs, pb.AttrLocalUniqueID) // of the process
		fmt.Fprintf(b, "  source %s %s\n", op.GetSource().Identifier, compact(op.GetSource().Attrs))
	case op.GetFile() != nil:
		for _, a := range op.GetFile().Actions {
			fmt.Fprintf(b, "  file in=%d,%d out=%d %s\n", a.Input, a.SecondaryInput, a.Output, compact(a.Action))
		}
	case op.GetExec() != nil:
		e := op.GetExec()
		fmt.Fprintf(b, "  exec user=%q cwd=%s net=%s env=%s\n", e.Meta.User, e.Meta.Cwd, e.Network, strings.Join(e.Meta.Env, " "))
		for _, m := range e.Mounts {
			fmt.Fprintf(b, "  mount %s in=%d out=%d %s\n", m.Dest, m.Input, m.Output, compact(m.CacheOpt)+compact(m.SecretOpt)+m.Selector)
		}
		fmt.Fprintf(b, "  %s\n", strings.Join(e.Meta.Args[:2], " "))
		for line := range strings.SplitSeq(strings.TrimSuffix(e.Meta.Args[2], "\n"), "\n") {
			fmt.Fprintf(b, "  | %s\n", line)
		}
	}
}

// compact is JSON without what is empty.
func compact(v any) string {
	data, _ := json.Marshal(v)
	var m any
	if json.Unmarshal(data, &m) != nil || m == nil {
		return ""
	}
	data, _ = json.Marshal(prune(m))
	return string(data)
}

func prune(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for k, inner := range m {
		inner = prune(inner)
		m[k] = inner
		if nested, ok := inner.(map[string]any); inner == nil || inner == "" || inner == false || ok && len(nested) == 0 {
			delete(m, k)
		}
	}
	return m
}
