package pktline

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

func TestReader_Next(t *testing.T) {
	big := strings.Repeat("x", MaxData)
	for name, c := range map[string]struct {
		in   string
		want []string // payloads, or the names of marks
		end  error
	}{
		"nothing":           {"", nil, io.EOF},
		"a line and a mark": {"0006a\n0000", []string{"a\n", "<0000>"}, io.EOF},
		"all marks":         {"000000010002", []string{"<0000>", "<0001>", "<0002>"}, io.EOF},
		"an empty payload":  {"0004", []string{""}, io.EOF},
		"upper case":        {"000Bfoobar\n", []string{"foobar\n"}, io.EOF},
		"the longest":       {"fff0" + big, []string{big}, io.EOF},
		"one too long":      {"fff1" + big + "x", nil, ErrLength},
		"length three":      {"0003", nil, ErrLength},
		"no number":         {"00g0", nil, ErrLength},
		"a sign":            {"+004", nil, ErrLength},
		"a prefix":          {"0x04", nil, ErrLength},
		"half a length":     {"00", nil, io.ErrUnexpectedEOF},
		"no payload":        {"0006", nil, io.ErrUnexpectedEOF},
		"half a payload":    {"0006a", nil, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := drain(NewReader(strings.NewReader(c.in)))
			if !errors.Is(err, c.end) || strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("got %.80q, %v; want %.80q, %v", got, err, c.want, c.end)
			}
		})
	}
}

func drain(r *Reader) (got []string, err error) {
	for {
		payload, kind, err := r.Next()
		if err != nil {
			return got, err
		}
		got = append(got, map[Kind]string{Data: string(payload), Flush: "<0000>", Delim: "<0001>", ResponseEnd: "<0002>"}[kind])
	}
}

func TestReader_takesNoByteThatIsNotItsOwn(t *testing.T) {
	in := strings.NewReader("0006a\nPACK")
	if _, _, err := NewReader(in).Next(); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(in); string(rest) != "PACK" {
		t.Errorf("left %q", rest)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	if err := errors.Join(w.Data([]byte("hello\n")), w.Delim(), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if want := "000ahello\n00010000"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	for _, size := range []int{0, MaxData + 1} {
		if err := w.Data(make([]byte, size)); !errors.Is(err, ErrLength) || out.Len() != 0 {
			t.Errorf("%d bytes: %v, %d written", size, err, out.Len())
		}
	}
	if err := w.Data(make([]byte, MaxData)); err != nil || out.Len() != MaxPacket {
		t.Errorf("the longest: %v, %d written", err, out.Len())
	}
}

// Git's own advertisement is a stream of packets that ends in a flush.
func TestReader_readsGit(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("git", "init", "-q", "--bare", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("git", "receive-pack", "--advertise-refs", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := drain(NewReader(bytes.NewReader(out)))
	if err != io.EOF || len(got) != 2 || !strings.Contains(got[0], "report-status") || got[1] != "<0000>" {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{"", "0000", "0006a\n0000", "00010002", "0004", "fff0", "fff1", "0003", "zzzz", "000", "0005"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		src := bytes.NewReader(in)
		r := NewReader(src)
		var back bytes.Buffer
		w := NewWriter(&back)
		for {
			payload, kind, err := r.Next()
			if err != nil {
				break
			}
			rewrite(t, w, &back, payload, kind)
		}
		read := in[:min(back.Len(), len(in))]
		if !strings.EqualFold(string(read), back.String()) {
			t.Errorf("%q was read as %q", read, back.String())
		}
	})
}

// rewrite sends a packet again. The two that Writer does not send are written by hand.
func rewrite(t *testing.T, w *Writer, out *bytes.Buffer, payload []byte, kind Kind) {
	var err error
	switch {
	case kind == Flush:
		err = w.Flush()
	case kind == Delim:
		err = w.Delim()
	case kind == ResponseEnd:
		out.WriteString("0002")
	case len(payload) == 0:
		out.WriteString("0004")
	default:
		err = w.Data(payload)
	}
	if err != nil {
		t.Errorf("%d of kind %d cannot be sent again: %v", len(payload), kind, err)
	}
}
