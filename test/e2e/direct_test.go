//go:build live

package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// Without a Prometheus people are told the same story.
func TestAgentTellsAlertmanagerItself(t *testing.T) {
	t.Parallel()
	l, certificate, overdue := agentOf(t, stack.Options{Direct: true, Unscraped: true}, 3*time.Second, life)
	for i, n := range []string{"1", "2", "3"} {
		l.after(l.wait(3*time.Second+rung+patience, tier(n, "firing")), overdue, time.Duration(i)*rung)
	}
	l.until(overdue.Add(3*rung - time.Second))
	must(t, certificate.Renew())
	for _, n := range []string{"1", "2", "3"} {
		l.wait(2*patience, tier(n, "resolved"))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if story := l.story(overdue); story != string(want) {
		t.Errorf("the story was\n%snot\n%s", story, want)
	}
}

func TestAgentTellsItselfAfterKill(t *testing.T) {
	t.Parallel()
	l, certificate, overdue := agentOf(t, stack.Options{Direct: true, Unscraped: true}, 3*time.Second, life)
	l.wait(3*time.Second+patience, tier("1", "firing"))
	l.restart(l.Agent)
	l.restart(l.Alertmanager)
	again := time.Now().Add(time.Minute + time.Second) // when it is told again what it forgot
	for i, n := range []string{"2", "3"} {
		l.after(l.wait(2*rung+patience, tier(n, "firing")), overdue, time.Duration(i+1)*rung)
	}
	l.until(again)
	l.never(stack.Match{Status: "resolved"})
	must(t, certificate.Renew())
	for _, n := range []string{"1", "2", "3"} {
		l.wait(2*patience, tier(n, "resolved"))
	}
}

// A Prometheus that scrapes such an agent all the same leaves its problems to it.
func TestNobodyIsToldTwice(t *testing.T) {
	t.Parallel()
	l, _, _ := agentOf(t, stack.Options{Direct: true}, 3*time.Second, life)
	l.wait(3*time.Second+patience, tier("1", "firing"))
	l.wait(rung+patience, tier("2", "firing"))
	told := map[string]int{}
	for _, page := range l.Pages.Pages(tier("", "firing")) {
		told[page.Labels["escalation"]]++
		if !strings.HasPrefix(page.Annotations["summary"], "certificate/renewal_overdue") {
			t.Errorf("the summary is %q", page.Annotations["summary"])
		}
	}
	if told["1"] != 1 || told["2"] != 1 {
		t.Errorf("told how often, by tier: %v\n%s", told, l.Pages)
	}
}
