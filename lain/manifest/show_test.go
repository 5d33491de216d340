package manifest

import (
	"os"
	"strings"
	"testing"
)

// Each testdata/show/NAME.json is what testdata/NAME.yaml is shown as.
func TestShow(t *testing.T) {
	for _, name := range []string{"every-key-served", "services", "templates", "volumes", "stream-ports", "health", "build-new-keys", "cloud-volumes"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile("testdata/" + name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			m, found := Parse("lain.yaml", data)
			if m == nil {
				t.Fatal(found.Err())
			}
			compareGolden(t, "testdata/show/"+name+".json", string(Show(m, "example.test")))
		})
	}
}

// LAIN 1.6.1, as LAIN expanded it.
func TestShow_mountpoints(t *testing.T) {
	cases := []struct{ procs, proc, want string }{
		{"web:", "web", "hello.a.test hello.b.test hello.lain"},
		{"web: {mountpoint: [x.test, /]}", "web", "x.test hello.a.test hello.b.test hello.lain"},
		{"web: {mountpoint: [/x, hello.b.test]}", "web", "hello.b.test hello.a.test hello.lain hello.a.test/x hello.b.test/x hello.lain/x"},
		{"web.api: {mountpoint: [/api, x.test/y]}", "api", "x.test/y hello.a.test/api hello.b.test/api hello.lain/api"},
		{"worker: {cmd: x}", "worker", ""},
	}
	for _, c := range cases {
		m, found := Parse("lain.yaml", []byte(head+c.procs+"\n"))
		if m == nil {
			t.Fatal(found.Err())
		}
		if got := strings.Join(m.showProc(m.Procs[0], []string{"a.test", "b.test"}).Mountpoint, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.procs, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	found := Check("app/lain.yaml", []byte(head+"web: {prot: 80, port: x, ports: \"9500\"}\n"))
	want := []string{
		"app/lain.yaml:3:7: warning: web has no key prot, so it is ignored: did you mean port?",
		"app/lain.yaml:3:23: error: web.port must be a number from 1 to 65535, and this is x",
		"app/lain.yaml:3:26: not served: ports is not served yet and is ignored",
	}
	var got []string
	for _, f := range found {
		got = append(got, f.Text())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if f := Check("lain.yaml", nil)[0]; f.Text() != "lain.yaml:1:1: error: the file is empty" {
		t.Errorf("got %s", f.Text())
	}
	if found := Check("lain.yaml", []byte(head+"web:\n")); len(found) > 0 {
		t.Errorf("got %v", found)
	}
}
