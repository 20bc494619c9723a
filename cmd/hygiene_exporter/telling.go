package main

import (
	"context"
	"fmt"
	"time"

	"hygiene_exporter/alerts/monitor"
)

// explainTelling says of the open problems of an object who is told of them, and
// why not. Without a running agent nobody is told of anything, and nothing is
// said.
func (e *environment) explainTelling(ctx context.Context, probe, object string) error {
	client, err := e.agentClient()
	if err != nil {
		return nil //nolint:nilerr // no state directory, and so no agent
	}
	problems, err := client.Problems(ctx)
	if err != nil {
		fmt.Fprintf(e.stdout, "\nWho is told is not known: %v\n", err)
		return nil
	}
	for _, p := range problems {
		if p.Probe != probe || p.Object != object {
			continue
		}
		fmt.Fprintf(e.stdout, "\nOpen as %s (%s), episode %s, since %s, owner %s:\n", p.Check, p.Severity, p.Episode, instant(p.Since), named(p.Owner))
		for _, line := range telling(p, time.Now()) {
			fmt.Fprintf(e.stdout, "  %s\n", line)
		}
	}
	return nil
}

// named returns whose a problem is.
func named(owner string) string {
	if owner == "" {
		return "not set, so that the default owner is told"
	}
	return owner
}

func instant(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// telling says of each tier of a problem whether it is told, and why not.
func telling(p monitor.Problem, now time.Time) []string {
	if len(p.Deadlines) == 0 {
		return []string{"nobody is told: the severity " + p.Severity + " has no tiers"}
	}
	taken := p.Ack != nil && p.Ack.Expires.After(now)
	suppressed := p.SuppressedUntil.After(now)
	var lines []string
	for i, at := range p.Deadlines {
		tier := fmt.Sprintf("tier %d", i+1)
		switch {
		case at.After(now) && i > 0:
			lines = append(lines, fmt.Sprintf("%s is told at %s, unless somebody has taken the problem by then", tier, instant(at)))
		case at.After(now):
			lines = append(lines, fmt.Sprintf("%s is told at %s, when its calendar allows it", tier, instant(at)))
		case taken && i > 0:
			lines = append(lines, fmt.Sprintf("%s has been due since %s, and is not told: %s has taken the problem until %s", tier, instant(at), p.Ack.By, instant(p.Ack.Expires)))
		case taken:
			lines = append(lines, fmt.Sprintf("%s has been due since %s, and is told nothing further: %s has taken the problem until %s", tier, instant(at), p.Ack.By, instant(p.Ack.Expires)))
		case suppressed:
			lines = append(lines, fmt.Sprintf("%s has been due since %s: in the maintenance window until %s it is told only if it had been before", tier, instant(at), instant(p.SuppressedUntil)))
		default:
			lines = append(lines, fmt.Sprintf("%s has been told since %s", tier, instant(at)))
		}
	}
	if p.Held {
		lines = append(lines, "it is held: what was seen last counts until the object is seen again ("+string(p.HeldReason)+")")
	}
	return lines
}

// why says who accepted a finding, and for how long.
func (a accepted) why() string {
	text := "Nobody is told: the risk is accepted"
	if a.By != "" {
		text += " by " + a.By
	}
	if !a.Until.IsZero() {
		text += " until " + instant(a.Until)
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	return fmt.Sprintf("%s (overrides[%d] of the configuration).", text, a.Override)
}
