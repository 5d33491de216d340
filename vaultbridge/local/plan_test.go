package local

import (
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	second := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	type step struct {
		at   float64 // seconds
		seen observation
		want action
	}
	for name, steps := range map[string][]step{
		"a well one is left alone": {{0, well, nothing}, {1, well, nothing}, {1000, well, nothing}},
		"a dead one is started at once, then with growing pauses": {{0, dead, unlock}, {0.5, dead, nothing}, {1, dead, unlock}, {2, dead, nothing},
			{3, dead, unlock}, {6, dead, nothing}, {7, dead, unlock}, {15, dead, unlock}, {31, dead, unlock}, {60, dead, nothing}, {61, dead, unlock}},
		"one that dies again right after it was well has to wait":  {{0, dead, unlock}, {0.2, well, nothing}, {0.4, dead, nothing}, {1, dead, unlock}},
		"the pause is forgotten after half a minute of well-being": {{0, dead, unlock}, {1, dead, unlock}, {4, well, nothing}, {40, well, nothing}, {41, dead, unlock}, {42, dead, unlock}},
		"a sealed one is unsealed at once":                         {{0, sealed, unlock}, {1, well, nothing}},
		"a silent one is woken once, then replaced": {{0, silent, nothing}, {14, silent, nothing}, {15, silent, wake}, {20, silent, nothing}, {44, silent, nothing},
			{45, silent, replace}, {46, silent, nothing}, {47, silent, replace}},
		"a short silence is forgiven":           {{0, silent, nothing}, {14, silent, nothing}, {15, well, nothing}, {16, silent, nothing}, {30, silent, nothing}, {31, silent, wake}},
		"one without a socket is replaced soon": {{0, deaf, nothing}, {2, deaf, nothing}, {3, deaf, replace}, {3.5, well, nothing}, {4, deaf, nothing}},
		"silence and then death is a death":     {{0, silent, nothing}, {5, dead, unlock}},
	} {
		t.Run(name, func(t *testing.T) {
			var w watch
			for _, s := range steps {
				if got := w.next(s.seen, time.Unix(1000, 0).Add(second(s.at))); got != s.want {
					t.Errorf("at %v s it saw %s and does %s, want %s", s.at, s.seen, got, s.want)
				}
			}
		})
	}
}

func TestDecodeRoot(t *testing.T) {
	if got, err := decodeRoot("KTMqUg", "AFkM"); err != nil || got != string([]byte{'A' ^ 0x29, 'F' ^ 0x33, 'k' ^ 0x2a, 'M' ^ 0x52}) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range [][2]string{{"", ""}, {"KTMqUg", "short"}, {"!!!!", "AFk"}} {
		if got, err := decodeRoot(c[0], c[1]); err == nil {
			t.Errorf("%q with %q gave %q", c[0], c[1], got)
		}
	}
}
