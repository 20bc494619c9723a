package ledger

import (
	"slices"
	"time"
)

// Observe takes in one round of evaluation and returns what changed, by key.
// The functions of the round must not call the ledger; all but Removed are
// required.
func (l *Ledger) Observe(r Round) []Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.At = r.At.UTC().Round(0)
	l.tick(r.At)

	found := make(map[Key]Finding, len(r.Findings))
	for _, f := range r.Findings {
		if other, twice := found[f.Key]; twice {
			f.For = min(f.For, other.For)
		}
		found[f.Key] = f
	}
	var changes []Change
	for key, p := range l.problems {
		changes = append(changes, l.age(p, r.At)...)
		f, firing := found[key]
		switch {
		case firing:
			changes = append(changes, l.confirm(p, f, r)...)
		case r.covers(key):
			changes = append(changes, l.doubt(p, r)...)
		}
	}
	for key, p := range l.pending {
		if _, firing := found[key]; !firing && l.forgets(key, p, r) {
			delete(l.pending, key)
			l.changes++
		}
	}
	for _, f := range r.Findings {
		if l.problems[f.Key] == nil {
			changes = append(changes, l.await(found[f.Key], r)...)
		}
	}
	for key, c := range l.closed {
		if l.clock.since(c.At) >= flapWindow {
			delete(l.closed, key) // saved with the next change
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return compareKeys(a.Problem.Key, b.Problem.Key) })
	return changes
}

func (r *Round) covers(key Key) bool { return r.Probe == "" || r.Probe == key.Probe }

// removed reports whether no rule covers a silent key any more.
func (r *Round) removed(key Key) bool { return r.Removed != nil && r.Removed(key) }

// age notes what the mere passing of time does to a problem.
func (l *Ledger) age(p *problem, at time.Time) (changes []Change) {
	l.pass(p, at)
	if p.Ack != nil && !at.Before(p.Ack.Expires) {
		changes = append(changes, Change{Kind: AckExpired, Problem: p.clone()})
		p.Ack = nil
		l.touch()
	}
	return changes
}

// confirm takes in that an open problem still has a finding. The finding may
// rest on facts that could not be renewed; then the problem is held.
func (l *Ledger) confirm(p *problem, f Finding, r Round) []Change {
	evidence, run := r.Evidence(p.Key)
	p.run, p.ran = run, true // a run in which it fired does not count for its end
	if p.SilentRuns > 0 {
		p.SilentRuns, p.SilentSince = 0, 0
		l.changes++
	}
	if p.Rule != f.Rule || p.Summary != f.Summary {
		p.Rule, p.Summary = f.Rule, f.Summary
		l.touch()
	}
	if evidence == Unknown {
		return l.hold(p, NotObserved)
	}
	return l.hold(p, "")
}

// doubt takes in that an open problem has no finding, and closes it if there is
// evidence that it is over.
func (l *Ledger) doubt(p *problem, r Round) []Change {
	if r.removed(p.Key) {
		return l.close(p, RuleRemoved, r.At)
	}
	if !r.Evaluated(p.Key) {
		return l.hold(p, RuleFailed)
	}
	evidence, run := r.Evidence(p.Key)
	switch evidence {
	case Gone:
		return l.close(p, ObjectRemoved, r.At)
	case Observed:
	default:
		return l.hold(p, NotObserved)
	}
	if !p.ran || p.run != run {
		p.run, p.ran = run, true
		if p.SilentRuns == 0 {
			p.SilentSince = l.clock.now
		}
		p.SilentRuns++
		l.changes++
	}
	closeAfter := l.options.CloseAfter
	if p.Flapping {
		closeAfter = max(closeAfter, flapWindow)
	}
	if p.SilentRuns >= goodRuns && l.clock.since(p.SilentSince) >= closeAfter {
		return l.close(p, Resolved, r.At)
	}
	return l.hold(p, "")
}

// hold marks a problem held for a reason, or, without one, not held.
func (l *Ledger) hold(p *problem, reason Reason) []Change {
	if p.HeldReason == reason {
		return nil
	}
	was := p.Held
	p.Held, p.HeldReason = reason != "", reason
	l.version++ // held is not saved: a new life of the agent knows nothing yet
	switch {
	case was && !p.Held:
		return []Change{{Kind: Released, Problem: p.clone()}}
	case !was && p.Held:
		return []Change{{Kind: Held, Problem: p.clone(), Reason: reason}}
	}
	return nil
}

func (l *Ledger) close(p *problem, reason Reason, at time.Time) []Change {
	p.Held, p.HeldReason = false, ""
	delete(l.problems, p.Key)
	l.closed[p.Key] = closing{At: l.clock.now, Episode: p.Episode}
	l.counts.duration.observe(p.Probe, l.clock.since(p.Opened))
	l.remember(Past{Problem: p.clone(), Closed: at, Reason: reason, TakenBy: p.TakenBy})
	l.touch()
	return []Change{{Kind: Closed, Problem: p.clone(), Reason: reason}}
}

// forgets reports whether a finding that never opened a problem is over. That
// takes evidence too, but one good run is enough.
func (l *Ledger) forgets(key Key, p pending, r Round) bool {
	if l.clock.since(p.Seen) >= pendingMemory {
		return true
	}
	if !r.covers(key) {
		return false
	}
	if r.removed(key) {
		return true
	}
	if !r.Evaluated(key) {
		return false
	}
	evidence, _ := r.Evidence(key)
	return evidence != Unknown
}

// await opens a problem for a finding if it has lasted long enough, and else
// remembers when the finding began.
func (l *Ledger) await(f Finding, r Round) []Change {
	if l.problems[f.Key] != nil {
		return nil // the same finding came twice
	}
	cautious := l.cautious(r.At)
	p, known := l.pending[f.Key]
	if !known {
		p = pending{Start: l.clock.now, Cautious: cautious}
	}
	lasted := l.clock.since(p.Start) >= f.For
	if lasted && (!cautious || p.restored && !p.Cautious) {
		delete(l.pending, f.Key)
		return l.open(f, r)
	}
	p.Seen = l.clock.now
	l.pending[f.Key] = p
	if !known {
		l.changes++
	}
	return nil
}

func (l *Ledger) open(f Finding, r Round) []Change {
	before, returned := l.closed[f.Key]
	p := &problem{
		Problem: Problem{
			Key:       f.Key,
			Episode:   l.episode(),
			Owner:     f.Owner,
			Rule:      f.Rule,
			Summary:   f.Summary,
			Since:     r.At,
			Deadlines: rising(l.options.Deadlines(f.Key, f.Owner, r.At), time.Time{}),
		},
		Opened:   l.clock.now,
		Flapping: returned && l.clock.since(before.At) < flapWindow,
	}
	l.problems[f.Key] = p
	check := Check{Probe: f.Probe, Check: f.Check}
	l.counts.opened[check]++
	if p.Flapping {
		l.counts.flaps[check]++
	}
	l.touch()
	changes := []Change{{Kind: Opened, Problem: p.clone()}}
	changes = append(changes, l.age(p, r.At)...)
	return append(changes, l.confirm(p, f, r)...)
}
