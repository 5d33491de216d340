package certs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// soon is how long before its end a certificate is warned of.
const soon = 14 * 24 * time.Hour

// Keeper follows the folder of certificates. Best, Report and Pairs may be called by anybody at any time; Look
// and Sweep by one goroutine only.
type Keeper struct {
	Dir   string // of the operator
	Store *Store
	// Judge asks nginx about the copies of pairs, all at once, before they are used: nil when it would take them
	// all, an error that Refusal knows when it would not.
	Judge   func(ctx context.Context, files []string) error
	Refusal func(error) (reason string, ok bool)

	mu      sync.RWMutex
	entries map[string]entry
	trouble string // with the folder as a whole; "": none

	opened  bool
	stamped string // the folder as it was when it was read last
	pending string // as it was at the last look
	judged  map[string]string
	picture string // what Look told last
}

// entry is what counts under one name.
type entry struct {
	found
	before Pair // what was used before; zero: nothing
}

// use is the pair that counts now: the one in the folder when it is good and in its time, else the one before.
func (e entry) use(now time.Time) (Pair, bool) {
	if e.broken == "" && e.pair.Valid(now) {
		return e.pair, true
	}
	return e.before, e.before.Hash != "" && e.before.Valid(now)
}

// Look reads the folder when it has changed, and reports whether anything is different now: pairs, troubles, or
// what the clock did to them. A change counts once two looks have seen the same, so that nobody is caught
// writing; with force it counts at once. Copies of what is used are in the Store when it returns.
func (k *Keeper) Look(ctx context.Context, now time.Time, force bool) (changed bool, err error) {
	k.open()
	next, trouble := k.next(now, force)
	if next != nil {
		if err := k.judge(ctx, next); err != nil {
			k.stamped = ""
			return false, err
		}
	}
	k.mu.Lock()
	if k.trouble = trouble; next != nil {
		k.entries = next
	}
	k.mu.Unlock()
	picture := k.draw(now)
	if picture == k.picture {
		return false, nil
	}
	if err := k.save(now); err != nil {
		return false, err
	}
	k.picture = picture
	return true, nil
}

// open reads back what was used before a restart.
func (k *Keeper) open() {
	if k.opened {
		return
	}
	k.opened, k.judged = true, map[string]string{}
	entries := map[string]entry{}
	for name, hash := range k.Store.kept() {
		if p, err := k.Store.get(name, hash); err == nil && p.Hash == hash {
			entries[name] = entry{found: found{broken: "not read yet"}, before: p}
			k.judged[hash] = ""
		}
	}
	k.mu.Lock()
	k.entries = entries
	k.mu.Unlock()
}

// next is the folder's content when it is to be taken over, or nil.
func (k *Keeper) next(now time.Time, force bool) (next map[string]entry, trouble string) {
	seen, err := stamp(k.Dir)
	if err != nil {
		return nil, sentence(err)
	}
	steady := seen == k.pending || force || k.stamped == ""
	k.pending = seen
	if seen == k.stamped || !steady {
		return nil, ""
	}
	all, err := read(k.Dir)
	if err != nil {
		return nil, sentence(err)
	}
	next = map[string]entry{}
	for name, f := range all {
		e := entry{found: f}
		if old, ok := k.entries[name]; ok {
			e.before, _ = old.use(now)
		}
		next[name] = e
	}
	k.stamped = seen
	return next, ""
}

// judge lets nginx have its word on each pair that it has not seen yet.
func (k *Keeper) judge(ctx context.Context, next map[string]entry) error {
	var fresh []Pair
	for _, name := range sortedNames(next) {
		if e := next[name]; e.broken == "" {
			if _, known := k.judged[e.pair.Hash]; !known {
				fresh = append(fresh, e.pair)
			}
		}
	}
	if err := k.ask(ctx, fresh); err != nil {
		return err
	}
	for name, e := range next {
		if reason := k.judged[e.pair.Hash]; e.broken == "" && reason != "" {
			e.broken = fmt.Sprintf("nginx refuses the certificate of %q: %s", name, reason)
			next[name] = e
		}
	}
	return nil
}

// ask halves what is refused until the culprits are alone.
func (k *Keeper) ask(ctx context.Context, pairs []Pair) error {
	if len(pairs) == 0 {
		return nil
	}
	var files []string
	for _, p := range pairs {
		if err := k.Store.put(p); err != nil {
			return err
		}
		files = append(files, k.Store.pairFile(p.Hash))
	}
	err := k.Judge(ctx, files)
	reason, refused := "", false
	if err != nil {
		reason, refused = k.Refusal(err)
	}
	switch {
	case err != nil && !refused:
		return err
	case err != nil && len(pairs) > 1:
		half := len(pairs) / 2
		if err := k.ask(ctx, pairs[:half]); err != nil {
			return err
		}
		return k.ask(ctx, pairs[half:])
	}
	for _, p := range pairs {
		k.judged[p.Hash] = reason
	}
	return nil
}

// save puts copies of what is used into the store.
func (k *Keeper) save(now time.Time) error {
	hashes := map[string]string{}
	for _, p := range k.Pairs(now) {
		if err := k.Store.put(p); err != nil {
			return err
		}
		hashes[p.Name] = p.Hash
	}
	return k.Store.keep(hashes)
}

// Sweep removes copies that nobody has used for a while.
func (k *Keeper) Sweep(now time.Time) error {
	keep := map[string]bool{}
	for _, p := range k.Pairs(now) {
		keep[p.Hash] = true
	}
	return k.Store.sweep(keep, now)
}

// Pairs are those that may be shown now, by name.
func (k *Keeper) Pairs(now time.Time) []Pair {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var pairs []Pair
	for _, name := range sortedNames(k.entries) {
		if p, ok := k.entries[name].use(now); ok {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// Best is the pair to show for a host now.
func (k *Keeper) Best(host string, now time.Time) (Pair, bool) { return Best(k.Pairs(now), host, now) }

// Report is what an operator should know.
type Report struct {
	Good, Broken, Soon int               // pairs that are used; of those that are there, the unusable; the used that end soon
	First              time.Time         // when the first of the used ends; zero: none is used
	Lines              map[string]string // name of a pair, or the folder's, to a sentence; only where something is to be done
}

// Check reports on a folder as a Keeper that has never seen it before would, without asking nginx.
func Check(dir string, now time.Time) Report {
	r := Report{Lines: map[string]string{}}
	all, err := read(dir)
	if err != nil {
		r.Lines[dir] = sentence(err)
	}
	for name, f := range all {
		r.add(name, entry{found: f}, now)
	}
	return r
}

// Report tells how things are.
func (k *Keeper) Report(now time.Time) Report {
	k.mu.RLock()
	defer k.mu.RUnlock()
	r := Report{Lines: map[string]string{}}
	if k.trouble != "" {
		r.Lines[k.Dir] = k.trouble
	}
	for name, e := range k.entries {
		r.add(name, e, now)
	}
	return r
}

func (r *Report) add(name string, e entry, now time.Time) {
	p, usable := e.use(now)
	if reason := e.reason(name, now); reason != "" {
		r.Broken++
		r.Lines[name] = reason
		if usable {
			r.Lines[name] += fmt.Sprintf("; the one before it is used until %s", day(p.NotAfter))
		}
	}
	if !usable {
		return
	}
	r.Good++
	if r.First.IsZero() || p.NotAfter.Before(r.First) {
		r.First = p.NotAfter
	}
	if p.NotAfter.Sub(now) < soon {
		r.Soon++
		if r.Lines[name] == "" {
			r.Lines[name] = fmt.Sprintf("the certificate of %q ends on %s: renew it", name, day(p.NotAfter))
		}
	}
}

// reason says why the pair in the folder cannot be used, or "".
func (e entry) reason(name string, now time.Time) string {
	switch {
	case e.broken != "":
		return e.broken
	case now.Before(e.pair.NotBefore):
		return fmt.Sprintf("the certificate of %q is not valid before %s", name, day(e.pair.NotBefore))
	case !e.pair.Valid(now):
		return fmt.Sprintf("the certificate of %q has expired on %s: renew it", name, day(e.pair.NotAfter))
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// draw is everything that Look compares, as a text.
func (k *Keeper) draw(now time.Time) string {
	var b strings.Builder
	for _, p := range k.Pairs(now) {
		fmt.Fprintf(&b, "%q %s\n", p.Name, p.Hash)
	}
	lines := k.Report(now).Lines
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&b, "%q %q\n", name, lines[name])
	}
	return b.String()
}
