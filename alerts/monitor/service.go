package monitor

import (
	"context"
	"fmt"
	"time"

	"hygiene_exporter/alerts/ledger"
)

// Ack takes the problems that a selector names for a while, in the name of a
// person, and returns them.
func (m *Monitor) Ack(ctx context.Context, selector string, lasts time.Duration, ack ledger.Ack) ([]Problem, error) {
	ack.At = time.Now()
	ack.Expires = ack.At.Add(lasts)
	changes, err := m.options.Ledger.Ack(selector, ack)
	if err != nil {
		return nil, err
	}
	return m.answer(ctx, changes)
}

// Unack gives problems back and returns them.
func (m *Monitor) Unack(ctx context.Context, selector, by string, uid uint32) ([]Problem, error) {
	changes, err := m.options.Ledger.Unack(selector, by, uid)
	if err != nil {
		return nil, err
	}
	return m.answer(ctx, changes)
}

// answer logs what a person changed, publishes and saves it, and describes it
// as it is now.
func (m *Monitor) answer(ctx context.Context, changes []ledger.Change) ([]Problem, error) {
	m.logChanges(changes)
	if err := m.changed(ctx); err != nil {
		return nil, fmt.Errorf("done, but not saved: a restart of the agent would forget it: %w", err)
	}
	var problems []ledger.Problem
	for _, change := range changes {
		p := change.Problem
		if change.Kind == ledger.Unacked {
			p.Ack = nil // the change shows what was taken back
		}
		problems = append(problems, p)
	}
	return m.describe(ctx, problems), nil
}

// Test raises a problem for a while, which exists only to be seen to arrive.
func (m *Monitor) Test(ctx context.Context, object, severity, owner string, lasts time.Duration) error {
	key := ledger.Key{Probe: TestProbe, Check: TestCheck, Object: object, Severity: severity}
	if err := checkTest(key, lasts); err != nil {
		return err
	}
	m.tests.add(key, owner, time.Now().Add(lasts))
	m.evaluate(ctx, "")
	return nil
}

// Maintenance reports whether a window keeps the problems of a probe from paging
// at an instant.
func (m *Monitor) Maintenance(probe string, at time.Time) bool {
	_, _, active := m.config.Load().Policy.Maintenance(probe, at)
	return active
}

// History returns the problems that closed last, the latest first.
func (m *Monitor) History() []ledger.Past { return m.options.Ledger.History() }
