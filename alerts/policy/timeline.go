package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Incident is the life of a problem, real or imagined.
type Incident struct {
	Subject
	Since time.Time
	// Acked and AckExpires say when somebody took it and for how long; zero
	// means nobody did.
	Acked, AckExpires time.Time
	// Closed is the end; zero means that it goes on.
	Closed time.Time
}

// An Event is an instant at which it changes who is told of an incident.
type Event struct {
	At time.Time
	// What happens, in words.
	What string
	// Told holds the tiers that are told at this instant.
	Told []int
	// Muted holds the tiers that are due and not told.
	Muted []int
}

// Timeline returns the life of an incident in order, up to its end or to the
// instant after which nothing changes any more by itself. The tiers are those
// that the deadlines and the escalation rules give; what the messages need on
// their way is not part of it.
func (p *Policy) Timeline(i Incident) []Event {
	d := p.Decide(i.Subject, i.Since)
	if d.Accepted {
		return []Event{{At: i.Since, What: fmt.Sprintf("risk accepted by override %d: %s", d.Override, d.Reason)}}
	}
	i.Owner, i.Severity = d.Owner, d.Severity
	deadlines := p.Deadlines(i.Subject, i.Since)

	instants := map[int64]time.Time{}
	note := func(at time.Time) {
		ended := !i.Closed.IsZero() && at.After(i.Closed)
		if !at.IsZero() && !at.Before(i.Since) && !ended {
			instants[at.UnixNano()] = at
		}
	}
	for _, at := range append([]time.Time{i.Since, i.Acked, i.Closed}, deadlines...) {
		note(at)
	}
	if !i.Acked.IsZero() {
		note(i.AckExpires)
	}
	var (
		events []Event
		state  = state{policy: p, incident: i, deadlines: deadlines}
	)
	for len(instants) > 0 {
		at := earliest(instants)
		delete(instants, at.UnixNano())
		event, again := state.step(at)
		events = append(events, event)
		if again.After(at) && len(events) < maxEvents {
			note(again)
		}
	}
	return events
}

// maxEvents ends the timeline of an incident in a maintenance without end.
const maxEvents = 100

func earliest(instants map[int64]time.Time) time.Time {
	var first time.Time
	for _, at := range instants {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// state is an incident on its way through time.
type state struct {
	policy      *Policy
	incident    Incident
	deadlines   []time.Time
	told        []int
	maintenance time.Time // the end of the window known so far
}

// step returns what changes at an instant, and another instant to look at.
func (s *state) step(at time.Time) (event Event, again time.Time) {
	var (
		i     = s.incident
		what  []string
		acked = !i.Acked.IsZero() && !at.Before(i.Acked) && at.Before(i.AckExpires)
	)
	say := func(when time.Time, text string) {
		if at.Equal(when) {
			what = append(what, text)
		}
	}
	say(i.Since, "opened")
	var due []int
	for n, deadline := range s.deadlines {
		say(deadline, fmt.Sprintf("tier %d due", n+1))
		if !at.Before(deadline) {
			due = append(due, n+1)
		}
	}
	say(i.Acked, "acknowledged")
	if !i.Acked.IsZero() {
		say(i.AckExpires, "acknowledgement expired")
	}
	until, name, suppressed := s.policy.Maintenance(i.Probe, at)
	switch {
	case suppressed:
		what = append(what, fmt.Sprintf("in maintenance %s", name))
	default:
		say(s.maintenance, "maintenance over")
	}
	s.maintenance = until
	say(i.Closed, "closed")

	event = Event{At: at, What: strings.Join(what, ", ")}
	if at.Equal(i.Closed) {
		return event, time.Time{}
	}
	if acked || suppressed {
		event.Muted, s.told = due, nil
		return event, until
	}
	for _, tier := range due {
		if !slices.Contains(s.told, tier) {
			event.Told = append(event.Told, tier)
		}
	}
	s.told = due
	return event, until
}
