//go:build live

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// An open problem of the fake agent.
type open struct {
	check, object, severity, owner string
	since                          time.Time
	tiers                          []time.Duration
	ack, suppressed                time.Time
}

// A fakeAgent exports problems as the contract says, so that rules and routes
// are tested by themselves.
type fakeAgent struct {
	server *httptest.Server
	mu     sync.Mutex
	open   map[string]open // by episode
}

func newFakeAgent(t *testing.T) *fakeAgent {
	a := &fakeAgent{open: map[string]open{}}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	return a
}

func (a *fakeAgent) address() string { return a.server.Listener.Addr().String() }

// change edits the problem of an episode; it opens with the first change.
func (a *fakeAgent) change(episode string, edit func(*open)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	problem, ok := a.open[episode]
	if !ok {
		problem = open{
			check: "renewal_overdue", object: "/etc/ssl/a.pem", severity: "critical", owner: "sre",
			since: time.Now(), tiers: ladder(),
		}
	}
	edit(&problem)
	a.open[episode] = problem
}

func (a *fakeAgent) close(episode string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, episode)
}

// ServeHTTP writes the exposition.
func (a *fakeAgent) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := seconds(time.Now())
	lines := []string{
		fmt.Sprintf("hygiene_agent_time_seconds %f", now),
		fmt.Sprintf("hygiene_rules_last_evaluation_timestamp_seconds %f", now),
		"hygiene_rules_loaded 9",
	}
	for episode, p := range a.open {
		labels := fmt.Sprintf(`probe="certificate",check=%q,object=%q,episode=%q,severity=%q,owner=%q`, p.check, p.object, episode, p.severity, p.owner)
		lines = append(lines,
			fmt.Sprintf("hygiene_problem_since_timestamp_seconds{%s} %f", labels, seconds(p.since)),
			fmt.Sprintf(`hygiene_problem_info{%s,summary="Certificate %s was not renewed in time",held="false",acked_by="kim"} 1`, labels, p.object))
		for i, after := range p.tiers {
			lines = append(lines, fmt.Sprintf(`hygiene_problem_escalation_timestamp_seconds{%s,escalation="%d"} %f`, labels, i+1, seconds(p.since.Add(after))))
		}
		if p.ack.After(time.Now()) {
			lines = append(lines, fmt.Sprintf("hygiene_problem_ack_expiry_timestamp_seconds{%s} %f", labels, seconds(p.ack)))
		}
		if p.suppressed.After(time.Now()) {
			lines = append(lines, fmt.Sprintf("hygiene_problem_suppressed_until_timestamp_seconds{%s} %f", labels, seconds(p.suppressed)))
		}
	}
	sort.Strings(lines)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, strings.Join(lines, "\n"))
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
