package engine

import "testing"

func TestWhichWordsThePruneTakes(t *testing.T) {
	for version, want := range map[string]bool{"1.41": false, "1.47": false, "1.48": true, "1.51": true, "2.0": true, "": false, "x": false} {
		if got := newPruning(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}
