// Package eventlog is the memory that probes share: what one of them saw happen
// and another may use, such as a failover that counts for a drill. It survives
// restarts and is bounded in number and age.
package eventlog

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"hygiene_exporter/probes"
)

const (
	version = 1
	maxKind = 1000                 // events of one kind
	maxAge  = 400 * 24 * time.Hour // more than a yearly drill and its grace
)

var _ probes.Events = (*Log)(nil)

// A Log holds events by kind, oldest first. It may be used concurrently.
type Log struct {
	state probes.State
	now   func() time.Time

	mu      sync.Mutex
	kinds   map[string][]probes.Event
	unsaved bool
}

// Open restores the log from state. With an error the log is usable, and empty.
func Open(state probes.State, now func() time.Time) (*Log, error) {
	l := &Log{state: state, now: now}
	_, err := state.Load(version, &l.kinds)
	if l.kinds == nil {
		l.kinds = map[string][]probes.Event{}
	}
	return l, err
}

// Observe records an event. To record the same event again changes nothing, so
// that a probe may tell in every run what it sees. An event that is too old, or
// older than the newest 1000 of its kind, is forgotten at once. After an error
// of the state the event is known, and the next Observe saves it.
func (l *Log) Observe(event probes.Event) error {
	if event.Kind == "" || event.At.IsZero() {
		return errors.New("an event needs a kind and an instant")
	}
	event = clone(event)
	event.At = event.At.Round(0).UTC() // as it will be read back

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.add(event) {
		l.unsaved = true
	}
	if !l.unsaved {
		return nil
	}
	if err := l.state.Save(version, l.kinds); err != nil {
		return err
	}
	l.unsaved = false
	return nil
}

// Observed returns the events of a kind, oldest first.
func (l *Log) Observed(kind string) []probes.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var events []probes.Event
	for _, event := range l.young(l.kinds[kind]) {
		events = append(events, clone(event))
	}
	return events
}

// add inserts an event at its place and reports whether it is new.
func (l *Log) add(event probes.Event) bool {
	events := l.kinds[event.Kind]
	at, _ := slices.BinarySearchFunc(events, event.At.Add(1), func(e probes.Event, t time.Time) int {
		return e.At.Compare(t)
	})
	for i := at - 1; i >= 0 && events[i].At.Equal(event.At); i-- {
		if events[i].Object == event.Object && maps.Equal(events[i].Detail, event.Detail) {
			return false
		}
	}
	if l.now().Sub(event.At) > maxAge || (at == 0 && len(events) >= maxKind) {
		return false
	}
	events = l.young(slices.Insert(events, at, event))
	l.kinds[event.Kind] = slices.Clone(events[max(0, len(events)-maxKind):])
	return true
}

// young returns the events that are not too old.
func (l *Log) young(events []probes.Event) []probes.Event {
	oldest := l.now().Add(-maxAge)
	first, _ := slices.BinarySearchFunc(events, oldest, func(e probes.Event, t time.Time) int {
		return e.At.Compare(t)
	})
	return events[first:]
}

// clone keeps the log and its readers from sharing a map.
func clone(event probes.Event) probes.Event {
	event.Detail = maps.Clone(event.Detail)
	return event
}
