//go:build live

package e2e

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// rung is the time between two tiers.
const rung = 8 * time.Second

// ladder is the policy of all scenarios.
func ladder() []time.Duration { return []time.Duration{0, rung, 2 * rung} }

// patience is how late a page may be: a scrape, an evaluation, a notification
// and a busy machine.
const patience = 7 * time.Second

// A line is a stack under test.
type line struct {
	*stack.Stack
	t     *testing.T
	began time.Time
}

// start runs a stack; its output is shown when the test fails.
func start(t *testing.T, o stack.Options) *line {
	t.Helper()
	o.Dir = t.TempDir()
	s, err := stack.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("pages:\n%s\n%s", s.Pages, tail(s.Output(), 20_000))
		}
	})
	return &line{Stack: s, t: t, began: time.Now()}
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

// wait returns the first page that matches; it must come within this time.
func (l *line) wait(within time.Duration, m stack.Match) stack.Page {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), within)
	defer cancel()
	page, err := l.Pages.Wait(ctx, m)
	if err != nil {
		l.t.Fatal(err)
	}
	return page
}

// firing and resolved are the usual matches.
func firing(episode, tier string) stack.Match {
	return stack.Match{Alert: "HygieneCertificateProblem", Episode: episode, Tier: tier, Status: "firing"}
}

func resolved(episode, tier string) stack.Match {
	m := firing(episode, tier)
	m.Status = "resolved"
	return m
}

// after fails unless the page came at this time after the start, give or take
// what scraping and sending cost.
func (l *line) after(page stack.Page, start time.Time, want time.Duration) {
	l.t.Helper()
	if took := page.At.Sub(start); took < want-100*time.Millisecond || took > want+patience {
		l.t.Errorf("after %s, not %s: %s", took.Round(time.Millisecond), want, page)
	}
}

// never fails if a page that matches has arrived.
func (l *line) never(m stack.Match) {
	l.t.Helper()
	for _, page := range l.Pages.Pages(m) {
		l.t.Errorf("this must not be told: %s", page)
	}
}

// until waits for an instant, at which nothing has to have happened.
func (l *line) until(at time.Time) {
	l.t.Helper()
	select {
	case <-time.After(time.Until(at)):
	case <-l.t.Context().Done():
		l.t.Fatal(l.t.Context().Err())
	}
}

// restart kills a program and starts it again.
func (l *line) restart(p *stack.Process) {
	l.t.Helper()
	if err := p.Restart(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// story prints all pages with their times in rungs, so that it can be compared.
// The order within a rung is chance and is made alphabetical.
func (l *line) story(start time.Time) string {
	var lines []string
	for _, page := range l.Pages.Pages(stack.Match{}) {
		rungs := math.Floor(float64(page.At.Sub(start)) / float64(rung))
		line := fmt.Sprintf("rung %.0f: %s tells %s: %s", rungs, page.Receiver, page.Status, page.Labels["alertname"])
		if tier := page.Labels["escalation"]; tier != "" {
			line += " tier " + tier
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
