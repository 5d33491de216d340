package network

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/name, or writes it under -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func smallRules() Rules {
	return Rules{Cluster: "alpha", Bridges: []string{"docker_gwbridge", "docker0"}, Open: []int{80, 443, 53}}
}

func fullRules() Rules {
	r := smallRules()
	r.Cluster = "beta"
	r.Open = []int{8443, 53, 8080, 53}
	r.Published = []int{40001, 32768, 40001}
	r.Peers = addrs("10.0.0.3", "fd00::3", "10.0.0.2", "::ffff:10.0.0.2")
	r.Routers = addrs("10.0.0.2", "fe80::7%eth0")
	return r
}

func TestRender(t *testing.T) {
	golden(t, "small.nft", smallRules().Render())
	golden(t, "full.nft", fullRules().Render())
	golden(t, "gone.nft", smallRules().RenderGone())
}

func TestRenderIsTheSameForTheSameRules(t *testing.T) {
	one, other := fullRules(), fullRules()
	other.Open = []int{8080, 8443, 53}
	other.Published = []int{32768, 40001}
	other.Bridges = []string{"docker0", "docker_gwbridge", "docker0"}
	if one.Render() != other.Render() {
		t.Error("the order in which rules are told changes the text")
	}
}
