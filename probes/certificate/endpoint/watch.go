package endpoint

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Watch keeps what targets showed when they were inspected last. It inspects
// in the background, so that whoever asks never waits longer than he wants to
// for a slow server. It is safe for concurrent use.
type Watch struct {
	Pool Pool

	mu    sync.Mutex
	last  map[string]Sighting // by the name of the target
	round chan struct{}       // closed when the round under way is over; nil before the first
}

// A Sighting is a report and the time of its end.
type Sighting struct {
	Report
	At time.Time
}

// longest bounds a round. What it leaves out comes first in the next one.
const longest = 15 * time.Minute

// Begin begins to inspect the targets, the ones that were not seen for longest
// first. While a round is under way it does nothing. A round does not end with
// the call: nobody needs to wait for it.
func (w *Watch) Begin(ctx context.Context, targets []Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(targets) == 0 || w.running() {
		return
	}
	targets = slices.Clone(targets)
	slices.SortStableFunc(targets, func(a, b Target) int { return w.last[a.Name].At.Compare(w.last[b.Name].At) })
	over := make(chan struct{})
	w.round = over
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	go func() {
		defer close(over)
		defer cancel()
		w.Pool.Run(ctx, targets, w.take)
	}()
}

func (w *Watch) running() bool {
	if w.round == nil {
		return false
	}
	select {
	case <-w.round:
		return false
	default:
		return true
	}
}

// take keeps a report. A target whose turn did not come keeps what it had.
func (w *Watch) take(r Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.skipped() {
		return
	}
	if w.last == nil {
		w.last = map[string]Sighting{}
	}
	w.last[r.Target.Name] = Sighting{r, time.Now()}
}

// Wait returns when no round is under way or ctx is done.
func (w *Watch) Wait(ctx context.Context) {
	w.mu.Lock()
	round := w.round
	w.mu.Unlock()
	if round == nil {
		return
	}
	select {
	case <-round:
	case <-ctx.Done():
	}
}

// Last returns what the target of this name showed last.
func (w *Watch) Last(name string) (Sighting, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, known := w.last[name]
	return s, known
}

// Forget drops what is not kept.
func (w *Watch) Forget(keep func(name string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.last {
		if !keep(name) {
			delete(w.last, name)
		}
	}
}
