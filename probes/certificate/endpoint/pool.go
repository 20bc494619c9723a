package endpoint

import (
	"context"
	"sync"
	"time"

	"hygiene_exporter/probes"
)

// A Pool inspects many targets without a burst of connections.
type Pool struct {
	Inspector
	// Concurrency is the most inspections at a time; below 1 means 8.
	Concurrency int
	// Spacing is the least time between the beginnings of two inspections.
	Spacing time.Duration
}

// Run inspects the targets and gives each report to each, one at a time, in the
// order in which they end. When ctx is done, the targets that were not begun are
// reported as not run. It returns when every target was reported.
func (p Pool) Run(ctx context.Context, targets []Target, each func(Report)) {
	workers := p.Concurrency
	if workers < 1 {
		workers = 8
	}
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		waiting = make(chan Target)
	)
	report := func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		each(r)
	}
	for range min(workers, len(targets)) {
		wg.Go(func() {
			for t := range waiting {
				report(p.Inspect(ctx, t))
			}
		})
	}
	begun := p.feed(ctx, targets, waiting)
	close(waiting)
	for _, t := range targets[begun:] {
		err := probes.Because(probes.NotRun, context.Cause(ctx))
		report(Report{Target: t, Servers: []Server{{Failure: fail(Connect, err)}}})
	}
	wg.Wait()
}

// feed hands out the targets at their pace and returns how many it did.
func (p Pool) feed(ctx context.Context, targets []Target, waiting chan<- Target) int {
	var pace <-chan time.Time
	if p.Spacing > 0 {
		ticker := time.NewTicker(p.Spacing)
		defer ticker.Stop()
		pace = ticker.C
	}
	for n, t := range targets {
		if n > 0 && pace != nil {
			select {
			case <-pace:
			case <-ctx.Done():
				return n
			}
		}
		select {
		case waiting <- t:
		case <-ctx.Done():
			return n
		}
	}
	return len(targets)
}
