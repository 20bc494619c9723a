// Package policy decides when people are told of a problem: it turns the
// beginning of a problem into absolute deadlines, one for each tier, changes
// owners and severities, accepts risks until a date, and knows the planned
// maintenance windows. It keeps no state and reads no clock: the same question
// always has the same answer, so that a simulation is the real thing.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hygiene_exporter/probes"
)

// The severities of a problem, and the one that accepts it.
const (
	Critical = "critical"
	Warning  = "warning"
	Info     = "info"
	None     = "none"
)

// The calendars of a ladder.
const (
	Always  = "always"
	Working = "working_hours"
)

// MaxTiers is the highest number of tiers of a ladder.
const MaxTiers = 3

const maxStartupGrace = time.Hour

// A Subject is what a policy needs to know of a problem.
type Subject struct {
	Probe, Check, Object, Severity, Owner string
}

// A Policy answers questions about escalation. It is immutable and may be used
// by several goroutines at once.
type Policy struct {
	ladders   map[string]ladder
	overrides []override
	windows   []window
}

// Default returns the section "escalation" of a configuration that does not
// have one.
func Default() Escalation {
	const minute, hour, day = probes.Duration(time.Minute), probes.Duration(time.Hour), probes.Duration(24 * time.Hour)
	return Escalation{
		Timezone: "Local",
		WorkingHours: WorkingHours{
			Days: []string{"mon", "tue", "wed", "thu", "fri"},
			From: "09:00",
			To:   "17:00",
		},
		Policies: map[string]Ladder{
			Critical: {Tiers: []probes.Duration{0, 30 * minute, 2 * hour}, Calendar: Always},
			Warning:  {Tiers: []probes.Duration{0, 3 * day, 7 * day}, Calendar: Working},
		},
		StartupGrace: 10 * minute,
	}
}

// New checks the three sections and builds the policy. All complaints are
// joined, each at its path in the configuration file.
func New(e Escalation, overrides []Override, maintenance []Maintenance) (*Policy, error) {
	zone, zoneErr := location(e.Timezone)
	hours, hoursErr := newHours(e.WorkingHours, zone)
	ladders, laddersErr := newLadders(e.Policies, hours)
	var graceErr error
	if e.StartupGrace < 0 || time.Duration(e.StartupGrace) > maxStartupGrace {
		graceErr = fmt.Errorf("must be between 0 and 1h, not %s", e.StartupGrace)
	}
	p := &Policy{ladders: ladders}
	errs := []error{probes.At("escalation", errors.Join(
		probes.At("timezone", zoneErr),
		probes.At("working_hours", hoursErr),
		probes.At("policies", laddersErr),
		probes.At("startup_grace", graceErr),
	))}
	for i, o := range overrides {
		made, err := newOverride(o, zone)
		made.index = i
		p.overrides = append(p.overrides, made)
		errs = append(errs, probes.At(fmt.Sprintf("overrides[%d]", i), err))
	}
	names := map[string]bool{}
	for i, m := range maintenance {
		made, err := newWindow(m, zone)
		if m.Name != "" && names[m.Name] {
			err = errors.Join(err, probes.At("name", fmt.Errorf("%.40q is the name of an earlier window too", m.Name)))
		}
		names[m.Name] = true
		p.windows = append(p.windows, made)
		errs = append(errs, probes.At(fmt.Sprintf("maintenance[%d]", i), err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// location returns UTC along with an error, so that checking can go on.
func location(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, errors.New("is empty; write a name like Europe/Berlin, or Local for the zone of the host")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, fmt.Errorf("%.40q is not a known time zone", name)
	}
	return zone, nil
}

// Deadlines returns the instant at which each tier is told of a problem that
// opened at since: the first instant inside the calendar of its ladder at or
// after since plus the time of the tier. They are in UTC and never fall. A
// problem of severity info, or of an unknown one, has none.
func (p *Policy) Deadlines(s Subject, since time.Time) []time.Time {
	l, ok := p.ladder(s)
	if !ok {
		return nil
	}
	since = since.UTC().Round(0)
	deadlines := make([]time.Time, 0, len(l.tiers))
	for _, tier := range l.tiers {
		deadlines = append(deadlines, l.calendar.next(since.Add(tier)).UTC())
	}
	return deadlines
}

// Maintenance reports whether the probe is in a planned window, the name of
// the window, and the instant at which it ends. Of several windows the one that
// ends last is returned; a window that begins before then extends it.
func (p *Policy) Maintenance(probe string, at time.Time) (until time.Time, name string, active bool) {
	for _, w := range p.windows {
		if len(w.probes) > 0 && !slices.Contains(w.probes, probe) {
			continue
		}
		if end, ok := w.active(at); ok && end.After(until) {
			until, name, active = end, w.name, true
		}
	}
	return until, name, active
}
