package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// schema is the version of what is saved.
const schema = 1

// memory is the ledger on disk.
type memory struct {
	Steady    time.Duration        `json:"steady_ns"`
	Wall      time.Time            `json:"wall"`
	Problems  []problem            `json:"problems"`
	Pending   []savedPending       `json:"pending,omitempty"`
	Closed    []savedClosing       `json:"closed,omitempty"`
	Past      []Past               `json:"past,omitempty"`
	Opened    []savedCount         `json:"opened,omitempty"`
	Flaps     []savedCount         `json:"flaps,omitempty"`
	Duration  map[string]Histogram `json:"duration,omitempty"`
	TimeToAck map[string]Histogram `json:"time_to_ack,omitempty"`
}

type savedPending struct {
	Key
	pending
}

type savedClosing struct {
	Key
	closing
}

type savedCount struct {
	Probe string `json:"probe"`
	Check string `json:"check"`
	Count uint64 `json:"count"`
}

// Save makes the ledger durable if it has changed since it was saved last. A
// failed save is tried again by the next call. Calls that meet a running save
// wait for it, and one more save serves them all.
//
// A save that hangs holds up nothing but other saves: when ctx ends, Save
// returns and leaves it to itself. An owner that publishes problems only after
// Save has returned never shows an episode that a crash could forget, nor one
// again that it has shown as closed.
func (l *Ledger) Save(ctx context.Context) error {
	select {
	case l.saving <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("an earlier save of the ledger has not ended: %w", ctx.Err())
	}
	l.mu.Lock()
	changes := l.changes
	if l.saved == changes {
		l.mu.Unlock()
		<-l.saving
		return nil
	}
	m := l.memory()
	l.mu.Unlock()

	done := make(chan error, 1)
	go func() {
		err := l.options.State.Save(schema, m)
		if err == nil {
			l.mu.Lock()
			l.saved = changes
			l.mu.Unlock()
		}
		<-l.saving
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("saving the ledger: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("saving the ledger has not ended: %w", ctx.Err())
	}
}

// memory copies what is saved, so that it can be encoded without the lock. The
// deadlines and acks behind it are replaced and never changed.
func (l *Ledger) memory() memory {
	m := memory{
		Steady:    l.clock.now,
		Wall:      l.clock.wall,
		Problems:  make([]problem, 0, len(l.problems)),
		Duration:  l.counts.duration.clone(),
		TimeToAck: l.counts.timeToAck.clone(),
	}
	for _, p := range l.problems {
		m.Problems = append(m.Problems, *p)
	}
	for key, p := range l.pending {
		m.Pending = append(m.Pending, savedPending{key, p})
	}
	for key, c := range l.closed {
		m.Closed = append(m.Closed, savedClosing{key, c})
	}
	m.Past = l.past // which is only ever replaced or appended to
	for check, n := range l.counts.opened {
		m.Opened = append(m.Opened, savedCount{check.Probe, check.Check, n})
	}
	for check, n := range l.counts.flaps {
		m.Flaps = append(m.Flaps, savedCount{check.Probe, check.Check, n})
	}
	return m
}

func (l *Ledger) restore() error {
	var m memory
	found, err := l.options.State.Load(schema, &m)
	if err != nil {
		return fmt.Errorf("restoring the ledger: %w", err)
	}
	if !found {
		return nil
	}
	l.clock.now, l.clock.wall = m.Steady, m.Wall
	l.clock.savedNow, l.clock.savedWall = m.Steady, m.Wall
	var errs []error
	for _, p := range m.Problems {
		if p.Episode == "" || p.Since.IsZero() || l.problems[p.Key] != nil || l.known(p.Episode) {
			errs = append(errs, fmt.Errorf("restoring the ledger: problem %.80q with episode %.40q is not whole", p.Key, p.Episode))
			continue
		}
		p.Held, p.HeldReason = true, AgentStarted
		p.Passed = max(0, min(p.Passed, len(p.Deadlines)))
		l.problems[p.Key] = &p
	}
	for _, p := range m.Pending {
		p.restored = true
		l.pending[p.Key] = p.pending
	}
	for _, c := range m.Closed {
		l.closed[c.Key] = c.closing
	}
	l.past = m.Past
	for _, c := range m.Flaps {
		l.counts.flaps[Check{c.Probe, c.Check}] += c.Count
	}
	for _, c := range m.Opened {
		l.counts.opened[Check{c.Probe, c.Check}] += c.Count
	}
	l.counts.duration.restore(m.Duration)
	l.counts.timeToAck.restore(m.TimeToAck)
	return errors.Join(errs...)
}
