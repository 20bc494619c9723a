//go:build live

package e2e

import (
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// climb opens episode e1 and waits for all its tiers, with something that
// happens after tier 1.
func climb(t *testing.T, disturb func(*line, *fakeAgent)) {
	t.Parallel()
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address()})
	opened := time.Now()
	agent.change("e1", func(p *open) { p.since = opened })
	l.after(l.wait(patience, firing("e1", "1")), opened, 0)
	disturb(l, agent)
	l.after(l.wait(rung+patience, firing("e1", "2")), opened, rung)
	l.after(l.wait(rung+patience, firing("e1", "3")), opened, 2*rung)
	l.never(stack.Match{Status: "resolved"})
	agent.close("e1")
	for _, tier := range []string{"1", "2", "3"} {
		l.wait(patience, resolved("e1", tier))
	}
}

func TestLadderSurvivesKillOfPrometheus(t *testing.T) {
	climb(t, func(l *line, _ *fakeAgent) { l.restart(l.Prometheus) })
}

func TestLadderSurvivesKillOfAlertmanager(t *testing.T) {
	climb(t, func(l *line, _ *fakeAgent) { l.restart(l.Alertmanager) })
}

func TestLadderSurvivesLostScrapes(t *testing.T) {
	climb(t, func(l *line, _ *fakeAgent) {
		l.Gap.Cut(true)
		l.until(time.Now().Add(rung)) // over the deadline of tier 2, which must be told meanwhile
		l.wait(patience, firing("e1", "2"))
		l.Gap.Cut(false)
	})
}

func TestWhatWasClosedDoesNotComeBackWithALostScrape(t *testing.T) {
	t.Parallel()
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address()})
	agent.change("e1", func(*open) {})
	l.wait(patience, firing("e1", "1"))
	agent.close("e1")
	l.wait(patience, resolved("e1", "1"))
	l.Gap.Cut(true)
	l.until(time.Now().Add(rung))
	if pages := l.Pages.Pages(firing("e1", "")); len(pages) != 1 {
		t.Errorf("the closed problem was told again:\n%s", l.Pages)
	}
}

func TestAcknowledgement(t *testing.T) {
	t.Parallel()
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address()})
	opened := time.Now()
	agent.change("e1", func(p *open) { p.since = opened })
	l.wait(patience, firing("e1", "1"))
	expiry := opened.Add(2*rung + 3*time.Second)
	agent.change("e1", func(p *open) { p.ack = expiry })
	taken := stack.Match{Alert: "HygieneProblemAcknowledged", Receiver: "chat", Status: "firing", Episode: "e1"}
	l.wait(patience, taken)
	l.until(expiry.Add(-500 * time.Millisecond))
	l.never(firing("e1", "2"))
	l.never(firing("e1", "3"))
	l.never(resolved("e1", "1"))
	l.after(l.wait(patience+rung, firing("e1", "2")), expiry, 0)
	l.after(l.wait(patience, firing("e1", "3")), expiry, 0)
	agent.close("e1")
	l.wait(patience, resolved("e1", "1"))
	// The next occurrence is a new episode and is told, though the old one was
	// just solved.
	agent.change("e2", func(*open) {})
	l.wait(patience, firing("e2", "1"))
}

func TestRiseFromWarningToCritical(t *testing.T) {
	t.Parallel()
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address()})
	agent.change("warn", func(p *open) { p.severity, p.tiers = "warning", ladder()[:1] })
	l.wait(patience, stack.Match{Episode: "warn", Receiver: "tickets", Status: "firing"})
	agent.change("crit", func(*open) {})
	l.wait(patience, stack.Match{Episode: "crit", Receiver: "primary", Status: "firing"})
	l.until(time.Now().Add(4 * time.Second))
	l.never(stack.Match{Status: "resolved"})
	agent.close("crit")
	agent.close("warn")
	l.wait(patience, resolved("crit", "1"))
	l.wait(patience, resolved("warn", "1"))
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address()})
	end := time.Now().Add(rung + 4*time.Second)
	agent.change("old", func(p *open) { p.object = "/old.pem" })
	l.wait(patience, firing("old", "1"))
	agent.change("old", func(p *open) { p.suppressed = end })
	agent.change("new", func(p *open) { p.object, p.suppressed = "/new.pem", end })
	l.until(end.Add(-200 * time.Millisecond))
	l.never(firing("new", ""))
	l.never(firing("old", "2"))
	l.never(stack.Match{Status: "resolved"})
	l.after(l.wait(patience, firing("new", "1")), end, 0)
	l.after(l.wait(patience, firing("old", "2")), end, 0)
}

func TestWatchdogIsHeard(t *testing.T) {
	t.Parallel()
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address()})
	deadline := time.Now().Add(time.Minute)
	for l.Pages.Beats() < 3 && time.Now().Before(deadline) {
		l.until(time.Now().Add(200 * time.Millisecond))
	}
	if beats := l.Pages.Beats(); beats < 3 {
		t.Errorf("the watchdog was heard %d times in a minute", beats)
	}
}
