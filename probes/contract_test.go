package probes_test

import (
	"testing"
	"testing/synctest"
	"time"

	"hygiene_exporter/alerts/monitor"
)

// A row is something that happens while a problem is open. None of them is
// evidence that the problem is over.
type row struct {
	name string
	do   func(r *rig)
	undo func(r *rig)
	held bool // the object is not seen meanwhile
}

func mode(name string) row {
	return row{
		name: "the run ends in " + name,
		do:   func(r *rig) { r.disturb.set(name) },
		undo: func(r *rig) { r.disturb.set("") },
		held: true,
	}
}

// rows is the table of hold and close.
func rows() []row {
	nothing := func(*rig) {}
	return []row{
		{name: "nothing happens", do: nothing, undo: nothing},
		mode("error"), // beyond max_age: the facts expire
		mode("fault"),
		mode("hang"),
		mode("panic"),
		mode("silence"),
		{name: "the agent restarts", do: (*rig).restart, undo: nothing},
		{
			name: "the agent restarts and cannot look",
			do: func(r *rig) {
				r.disturb.set("error")
				r.restart()
				wait(time.Minute)
				r.restart()
			},
			undo: func(r *rig) { r.disturb.set("") },
			held: true,
		},
		{
			name: "the rule fails",
			do:   func(r *rig) { r.reload(true) },
			undo: func(r *rig) { r.reload(false) },
			held: true,
		},
		{name: "the configuration is reloaded", do: func(r *rig) { r.reload(false) }, undo: nothing},
		{
			name: "the clock steps forward by an hour and back",
			do:   func(r *rig) { r.shift = time.Hour },
			undo: func(r *rig) { r.shift = 0 },
		},
	}
}

// patience is how long a probe that is not slow may need to notice something,
// and the ledger to believe it.
const patience = 4 * time.Minute

// The contract in one table: whatever happens to a probe of whatever shape, an
// open problem stays one problem with one episode, until its object was seen
// to be good.
func TestEveryShapeHoldsItsProblemThroughEverythingAndClosesItOnEvidence(t *testing.T) {
	for _, row := range rows() {
		for _, s := range shapes(t) {
			t.Run(row.name+"/"+s.name, func(t *testing.T) {
				r := newRig(t, s)
				synctest.Test(t, func(t *testing.T) {
					r.t = t
					r.start()
					defer r.end()
					before := r.spoiled()
					row.do(r)
					wait(10 * maxAge)
					r.expect(before, row.held)
					row.undo(r)
					wait(patience + s.slow)
					r.expect(before, false)
					s.mend(t)
					wait(patience + s.slow)
					r.expectClosed()
				})
			})
		}
	}
}

// Removing an object ends its problem, even if nobody could look at the object
// before it went.
func TestEveryShapeClosesTheProblemOfARemovedObject(t *testing.T) {
	for _, s := range shapes(t) {
		t.Run(s.name, func(t *testing.T) {
			r := newRig(t, s)
			synctest.Test(t, func(t *testing.T) {
				r.t = t
				r.start()
				defer r.end()
				before := r.spoiled()
				r.disturb.set("fault")
				wait(10 * maxAge)
				r.expect(before, true)
				s.remove(t)
				r.restart()
				wait(maxAge)
				r.expect(before, true)
				r.disturb.set("")
				wait(patience)
				r.expectClosed()
			})
		})
	}
}

// spoiled lets the object break, and returns the problem that opens.
func (r *rig) spoiled() monitor.Problem {
	r.t.Helper()
	wait(2*runEvery + r.shape.slow)
	r.expectClosed()
	r.shape.spoil(r.t)
	wait(2*runEvery + r.shape.slow)
	p := r.open()
	if p.Episode == "" {
		r.t.Fatal("no problem opened")
	}
	if p.Object != r.shape.object || p.Held {
		r.t.Fatalf("got the problem %+v, want one of %s that is seen", p, r.shape.object)
	}
	return p
}

// expect fails unless the same problem is still open.
func (r *rig) expect(before monitor.Problem, held bool) {
	r.t.Helper()
	now := r.open()
	if now.Episode != before.Episode || !now.Since.Equal(before.Since) {
		r.t.Fatalf("the problem is now %+v, was %+v", now, before)
	}
	if now.Held != held {
		r.t.Errorf("held is %v (%s), want %v", now.Held, now.HeldReason, held)
	}
	if opened := r.opened(); opened != 1 {
		r.t.Errorf("%d problems were opened, want 1", opened)
	}
}

func (r *rig) expectClosed() {
	r.t.Helper()
	if p := r.open(); p.Episode != "" {
		r.t.Fatalf("still open: %+v", p)
	}
}

func (r *rig) opened() (n uint64) {
	for _, count := range r.ledger.Statistics().Opened {
		n += count
	}
	return n
}
