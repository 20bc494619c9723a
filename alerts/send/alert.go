package send

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/alerts/escalation"
	"hygiene_exporter/alerts/monitor"
)

// An Alert is what Alertmanager takes, in version 2 of its API.
type Alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// key tells alerts apart.
func (a Alert) key() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		b.WriteString(name + "\xff" + a.Labels[name] + "\xff")
	}
	return b.String()
}

// A From says whose alerts they are and where they point to.
type From struct {
	Job, Instance string
	Links         escalation.Links
	// Maintenance returns whether a window kept the problems of a probe from
	// paging at an instant.
	Maintenance func(probe string, at time.Time) bool
}

// Alerts returns what is to be told at an instant. A tier is told from its
// deadline on, above the first one unless somebody has taken the problem. A
// maintenance window begins no telling and takes none back: told reports whether
// an alert was told before.
func (f From) Alerts(problems []monitor.Problem, now time.Time, told func(Alert) bool) []Alert {
	all := []Alert{f.watchdog(now)}
	for _, p := range problems {
		taken := p.Ack != nil && p.Ack.Expires.After(now)
		if taken {
			all = append(all, f.acknowledged(p))
		}
		for i, deadline := range p.Deadlines {
			if deadline.After(now) || i > 0 && taken {
				continue
			}
			alert := f.tier(p, i, now)
			suppressed := p.SuppressedUntil.After(now)
			if suppressed && !told(alert) && f.Maintenance(p.Probe, deadline) {
				continue
			}
			all = append(all, alert)
		}
	}
	return all
}

// labels are those of a problem.
func (f From) labels(alertname string, p monitor.Problem) map[string]string {
	labels := map[string]string{
		"alertname": alertname, "job": f.Job, "instance": f.Instance,
		"probe": p.Probe, "check": p.Check, "object": p.Object, "episode": p.Episode, "severity": p.Severity,
	}
	if p.Owner != "" {
		labels["owner"] = p.Owner
	}
	return labels
}

func (f From) summary(p monitor.Problem) string {
	return fmt.Sprintf("%s/%s: %s on %s", p.Probe, p.Check, p.Object, f.Instance)
}

// when prints an instant as the rules do in Prometheus.
func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 +0000 UTC") }

func (f From) tier(p monitor.Problem, i int, now time.Time) Alert {
	labels := f.labels(escalation.AlertName(p.Probe), p)
	labels["escalation"] = strconv.Itoa(i + 1)
	var text strings.Builder
	if p.Summary != "" {
		text.WriteString(p.Summary + ". ")
	}
	for j := i + 1; j < len(p.Deadlines); j++ {
		fmt.Fprintf(&text, "Tier %d is told at %s. ", j+1, when(p.Deadlines[j]))
	}
	fmt.Fprintf(&text, "Take it on the host: hygiene_exporter ack %s --for 2h --by NAME", p.Episode)
	annotations := map[string]string{"summary": f.summary(p), "description": text.String()}
	if base := strings.TrimRight(f.Links.Alertmanager, "/"); base != "" {
		filter := fmt.Sprintf("{instance=%q,episode=%q}", f.Instance, p.Episode)
		annotations["silence_url"] = base + "/#/silences/new?filter=" + url.QueryEscape(filter)
	}
	if base := strings.TrimRight(f.Links.Runbooks, "/"); base != "" {
		annotations["runbook_url"] = base + "/" + p.Probe + "-" + p.Check
	}
	return Alert{Labels: labels, Annotations: annotations, StartsAt: p.Deadlines[i], GeneratorURL: f.Links.Agent}
}

func (f From) acknowledged(p monitor.Problem) Alert {
	labels := f.labels("HygieneProblemAcknowledged", p)
	labels["kind"] = "ack"
	return Alert{
		Labels: labels, StartsAt: p.Ack.At, GeneratorURL: f.Links.Agent,
		Annotations: map[string]string{
			"summary":     f.summary(p) + " is acknowledged",
			"description": fmt.Sprintf("Taken by %s. Until %s.", p.Ack.By, when(p.Ack.Expires)),
		},
	}
}

// watchdog always fires. Whoever waits for it notices when the agent, the host
// or the way to people is gone.
func (f From) watchdog(now time.Time) Alert {
	return Alert{
		Labels: map[string]string{
			"alertname": "HygieneAgentWatchdog", "job": f.Job, "instance": f.Instance, "kind": "watchdog", "severity": "none",
		},
		StartsAt: now,
		Annotations: map[string]string{
			"summary":     "the agent on " + f.Instance + " is alive",
			"description": "This alert always fires. When its notifications stop, nobody is told of anything on this host.",
		},
	}
}
