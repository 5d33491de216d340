package local

import "time"

// observation is what one look at Vault saw.
type observation int

const (
	well observation = iota
	dead
	sealed
	silent // it lives, and does not answer
	deaf   // it lives, and nobody is behind its socket
)

func (o observation) String() string {
	return [...]string{"well", "dead", "sealed", "silent", "deaf"}[o]
}

// action is what is to be done about it.
type action int

const (
	nothing action = iota
	unlock         // start it if it is dead, unseal it
	wake           // let it go on if it is held still
	replace        // stop it and start another
)

func (a action) String() string { return [...]string{"nothing", "unlock", "wake", "replace"}[a] }

// watch remembers, between two looks, how long Vault has been silent and when it was last helped.
type watch struct {
	silence time.Time // since when; zero: it is neither silent nor deaf
	woken   bool      // in this silence
	pause   time.Duration
	again   time.Time // not before then
}

// next decides what to do about what was seen now. The first help comes at once; the pause before the next one
// doubles, and is forgotten when Vault was well for as long as the longest.
func (w *watch) next(seen observation, now time.Time) action {
	if seen != silent && seen != deaf {
		w.silence, w.woken = time.Time{}, false
	}
	if seen == well {
		if now.Sub(w.again) > lastPause {
			w.pause = 0
		}
		return nothing
	}
	do := w.remedy(seen, now)
	if do == nothing || now.Before(w.again) {
		return nothing
	}
	w.woken = w.woken || do == wake
	w.pause = min(max(2*w.pause, firstPause), lastPause)
	w.again = now.Add(w.pause)
	return do
}

func (w *watch) remedy(seen observation, now time.Time) action {
	if seen != silent && seen != deaf {
		return unlock
	}
	if w.silence.IsZero() {
		w.silence = now
	}
	switch quiet := now.Sub(w.silence); {
	case quiet >= killAfter, seen == deaf && quiet >= deafAfter:
		return replace
	case seen == silent && quiet >= wakeAfter && !w.woken:
		return wake
	}
	return nothing
}
