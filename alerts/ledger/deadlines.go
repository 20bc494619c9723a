package ledger

import (
	"slices"
	"time"
)

// Reschedule makes deadlines the new way to compute them, as after a reload.
// Those of open problems that have not passed at this instant, nor in any
// earlier round, are computed anew; the others stay.
func (l *Ledger) Reschedule(at time.Time, deadlines Deadlines) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.options.Deadlines = deadlines
	for _, p := range l.problems {
		l.pass(p, at)
		l.reschedule(p)
	}
}

// pass notes which deadlines have passed, so that a clock that is set back does
// not make them movable again.
func (l *Ledger) pass(p *problem, at time.Time) {
	for p.Passed < len(p.Deadlines) && !p.Deadlines[p.Passed].After(at) {
		p.Passed++
		l.changes++
	}
}

func (l *Ledger) reschedule(p *problem) {
	passed := p.Deadlines[:p.Passed]
	var last time.Time
	if p.Passed > 0 {
		last = passed[p.Passed-1]
	}
	all := slices.Clone(passed)
	if fresh := l.options.Deadlines(p.Key, p.Owner, p.Since); len(fresh) > p.Passed {
		all = append(all, rising(fresh[p.Passed:], last)...)
	}
	if !slices.EqualFunc(all, p.Deadlines, time.Time.Equal) {
		p.Deadlines = all
		l.touch()
	}
}

// rising returns the deadlines in UTC, none before an earlier one or before
// the given instant.
func rising(deadlines []time.Time, last time.Time) []time.Time {
	var all []time.Time
	for _, d := range deadlines {
		if d.After(last) {
			last = d.UTC().Round(0)
		}
		all = append(all, last)
	}
	return all
}
