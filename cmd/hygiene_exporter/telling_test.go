package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/alerts/policy"
)

func TestTellingSaysWhyNot(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return instant(now.Add(d)) }
	problem := func(change func(*monitor.Problem)) monitor.Problem {
		p := monitor.Problem{Problem: ledger.Problem{
			Key:       ledger.Key{Severity: "critical"},
			Deadlines: []time.Time{now.Add(-time.Hour), now.Add(-30 * time.Minute), now.Add(time.Hour)},
		}}
		change(&p)
		return p
	}
	third := "tier 3 is told at " + at(time.Hour) + ", unless somebody has taken the problem by then"
	for name, c := range map[string]struct {
		change func(*monitor.Problem)
		want   []string
	}{
		"nothing is in the way": {
			func(*monitor.Problem) {},
			[]string{"tier 1 has been told since " + at(-time.Hour), "tier 2 has been told since " + at(-30*time.Minute), third},
		},
		"somebody has taken it": {
			func(p *monitor.Problem) { p.Ack = &ledger.Ack{By: "kim", Expires: now.Add(2 * time.Hour)} },
			[]string{
				"tier 1 has been due since " + at(-time.Hour) + ", and is told nothing further: kim has taken the problem until " + at(2*time.Hour),
				"tier 2 has been due since " + at(-30*time.Minute) + ", and is not told: kim has taken the problem until " + at(2*time.Hour),
				third,
			},
		},
		"an acknowledgement that has expired is none": {
			func(p *monitor.Problem) { p.Ack = &ledger.Ack{By: "kim", Expires: now.Add(-time.Minute)} },
			[]string{"tier 1 has been told since " + at(-time.Hour), "tier 2 has been told since " + at(-30*time.Minute), third},
		},
		"it is in maintenance, and held": {
			func(p *monitor.Problem) {
				p.SuppressedUntil, p.Held, p.HeldReason = now.Add(time.Hour), true, ledger.NotObserved
				p.Deadlines = p.Deadlines[:1]
			},
			[]string{
				"tier 1 has been due since " + at(-time.Hour) + ": in the maintenance window until " + at(time.Hour) + " it is told only if it had been before",
				"it is held: what was seen last counts until the object is seen again (not_observed)",
			},
		},
		"it has no tiers": {
			func(p *monitor.Problem) { p.Severity, p.Deadlines = "info", nil },
			[]string{"nobody is told: the severity info has no tiers"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, telling(problem(c.change), now)); diff != "" {
				t.Errorf("telling (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAcceptedRiskIsExplained(t *testing.T) {
	a := accepted{Decision: policy.Decision{By: "kim", Reason: "decommissioned", Override: 2, Until: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)}}
	for _, want := range []string{"accepted by kim until 2027-0", "decommissioned", "overrides[2]"} {
		if !strings.Contains(a.why(), want) {
			t.Errorf("%q lacks %q", a.why(), want)
		}
	}
}
