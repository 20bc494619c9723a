package monitor

import (
	"context"
	"time"

	"hygiene_exporter/alerts/ledger"
)

// A Problem is an open problem as people and programs are shown it: on the
// status page, by the API and on the command line.
type Problem struct {
	ledger.Problem
	// SuppressedUntil is the end of the maintenance window that now keeps the
	// problem from paging; zero when there is none.
	SuppressedUntil time.Time `json:"suppressed_until,omitzero"`
	// Description, Impact and Action are the texts of the rule with the facts
	// of now; empty when there are no facts, or when nobody has a rule.
	Description string `json:"description,omitempty"`
	Impact      string `json:"impact,omitempty"`
	Action      string `json:"action,omitempty"`
}

// Tier returns the number of tiers whose time has come.
func (p Problem) Tier(now time.Time) int {
	tier := 0
	for _, at := range p.Deadlines {
		if !at.After(now) {
			tier++
		}
	}
	return tier
}

// Next returns when the next tier is told; zero when all have been.
func (p Problem) Next(now time.Time) time.Time {
	for _, at := range p.Deadlines {
		if at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// Problems returns the open problems with their texts.
func (m *Monitor) Problems(ctx context.Context) []Problem {
	return m.describe(ctx, m.options.Ledger.Problems())
}

func (m *Monitor) describe(ctx context.Context, open []ledger.Problem) []Problem {
	config, snapshot, now := m.config.Load(), m.options.Snapshot(), time.Now()
	problems := make([]Problem, 0, len(open))
	for _, p := range open {
		problem := Problem{Problem: p}
		if until, _, active := config.Policy.Maintenance(p.Probe, now); active {
			problem.SuppressedUntil = until
		}
		// A held problem may have no facts, and a test has no rule: then the
		// summary says all there is to say.
		if text, err := config.Rules.Text(ctx, snapshot, p.Key); err == nil {
			problem.Description, problem.Impact, problem.Action = text.Description, text.Impact, text.Action
		}
		problems = append(problems, problem)
	}
	return problems
}
