package collector

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A worker runs one probe of one generation.
type worker struct {
	name       string
	entry      Entry
	schema     *schema
	since      time.Time // when the probe began to be scheduled without a break
	track      *track
	collector  *Collector
	generation *generation
}

// A track is what all generations of a probe share.
type track struct {
	// seat holds a token while a run is under way, whoever started it, until
	// the probe has really returned.
	seat    chan struct{}
	started atomic.Pointer[time.Time] // of the run that has the seat

	panics atomic.Uint64
	hung   atomic.Uint64 // runs given up, or not started because of one
	log    *changeLog
	runs   uint64 // guarded by the collector's lock
}

var (
	errHung = errors.New("the probe does not return")
	errExit = errors.New("the probe ended its goroutine")
)

// A panicError is a panic of a probe.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func (w *worker) enabled() bool { return w.entry.Settings.Enabled && w.entry.Probe != nil }

// inherit returns the first report of this worker.
func (w *worker) inherit(before *Report) *Report {
	outcome := NotRun
	if !w.enabled() {
		outcome = Disabled
	}
	switch {
	case before == nil:
		return &Report{Probe: w.name, Outcome: outcome, Run: w.track.runs}
	case outcome == Disabled || before.Outcome == Disabled:
		return &Report{Probe: w.name, Outcome: outcome, Run: before.Run, Changed: before.Run}
	}
	return before
}

// loop runs the probe at its interval, from start to start. A start that was
// missed, because the machine slept, is left out.
func (w *worker) loop(ctx context.Context, delay time.Duration) {
	if !sleep(ctx, delay) || !w.settle(ctx) {
		return
	}
	interval := time.Duration(w.entry.Settings.Interval)
	next := time.Now()
	for {
		w.tick(ctx)
		next = next.Add(interval)
		if late := time.Since(next); late > 0 {
			next = next.Add((late/interval + 1) * interval)
		}
		if !sleep(ctx, time.Until(next)) {
			return
		}
	}
}

// settle waits until the run that an earlier generation left behind has
// returned, but not longer than a run may take.
func (w *worker) settle(ctx context.Context) bool {
	limit := time.NewTimer(time.Duration(w.entry.Settings.Timeout))
	defer limit.Stop()
	select {
	case w.track.seat <- struct{}{}:
		<-w.track.seat
	case <-limit.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// tick runs the probe once and publishes what came of it. While an earlier run
// hangs, none is started, and this one counts as failed.
func (w *worker) tick(ctx context.Context) {
	a := attempt{start: time.Now()}
	select {
	case w.track.seat <- struct{}{}:
		a = w.attempt(ctx)
	default:
		if started := w.track.started.Load(); started != nil {
			a.start = *started
		}
		a.err = errHung
	}
	if ctx.Err() != nil {
		return // the run was cancelled; that says nothing about the probe
	}
	if errors.Is(a.err, errHung) {
		w.track.hung.Add(1)
		a.end = time.Now()
	}
	before, after, current := w.collector.update(w, a)
	if !current {
		return
	}
	w.track.log.report(before, after)
	w.collector.announce(w.name)
}

// attempt runs the probe on a goroutine of its own, which gives the seat back
// when the probe returns, however late.
func (w *worker) attempt(ctx context.Context) attempt {
	timeout := time.Duration(w.entry.Settings.Timeout)
	start := time.Now()
	w.track.started.Store(&start)
	done := make(chan attempt, 1)
	limited, cancel := context.WithTimeout(ctx, timeout)
	go func() {
		defer cancel()
		a := attempt{start: start, err: errExit}
		defer func() {
			a.end = time.Now()
			<-w.track.seat
			done <- a
		}()
		w.run(limited, &a)
	}()

	// A probe may need a moment to notice that its time is up.
	grace := min((time.Duration(w.entry.Settings.Interval)-timeout)/2, time.Second)
	patience := time.NewTimer(timeout + grace)
	defer patience.Stop()
	select {
	case a := <-done:
		return a
	case <-patience.C:
	case <-ctx.Done():
	}
	return attempt{start: start, err: errHung}
}

func (w *worker) run(ctx context.Context, a *attempt) {
	defer func() {
		if value := recover(); value != nil {
			w.track.panics.Add(1)
			a.err = &panicError{value}
			w.track.log.panicked(value, debug.Stack())
		}
	}()
	a.result, a.err = w.entry.Probe.Run(ctx)
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
