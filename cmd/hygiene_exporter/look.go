package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/collector"
	"hygiene_exporter/config"
	"hygiene_exporter/probes"
)

// A look is one inspection of this host without an agent: every chosen probe
// once, and what the rules say of it. It leaves no trace on the host.
type look struct {
	config    *config.Config
	monitor   monitor.Config
	collector *collector.Collector
	entries   []collector.Entry
	chosen    []string // names of probes; empty means all
}

// fullTimeout is how long a probe may take that does all of its slow work.
const fullTimeout = 24 * time.Hour

// newLook prepares a look at the chosen probes, or at all without any. A full
// one does what the agent does between its runs, and takes as long as that. It
// knows nothing of what was seen before.
func newLook(e *environment, chosen []string, full bool) (*look, error) {
	return newLookFrom(e, chosen, "", full)
}

// newLookFrom is like newLook for probes that remember what a state directory
// says. They write there too, so it must be a copy.
func newLookFrom(e *environment, chosen []string, stateDir string, full bool) (*look, error) {
	work := probes.Never
	if full {
		work = probes.AtOnce
	}
	c, err := e.loadConfig()
	if err != nil {
		return nil, err
	}
	mc, err := monitorConfig(c)
	if err != nil {
		return nil, c.Locate(err)
	}
	hosts, err := e.hosts(c, stateDir, work, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	list, err := entries(c, hosts)
	if err != nil {
		return nil, c.Locate(err)
	}
	l := &look{config: c, monitor: mc, chosen: chosen}
	var names []string
	for _, entry := range list {
		names = append(names, entry.Spec.Name)
		if full {
			entry.Settings.Timeout, entry.Settings.Interval = probes.Duration(fullTimeout), probes.Duration(2*fullTimeout)
		}
		if len(chosen) == 0 || slices.Contains(chosen, entry.Spec.Name) {
			l.entries = append(l.entries, entry)
		}
	}
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%w: %.40q; there are %s", errNoProbe, name, strings.Join(names, ", "))
		}
	}
	l.collector = collector.New(collector.Options{Log: slog.New(slog.DiscardHandler), SeriesLimit: c.Limits.Series})
	l.collector.Replace(l.entries)
	return l, nil
}

// A judged look is what came of it.
type judged struct {
	Snapshot *collector.Snapshot
	Findings []found
	Accepted []accepted // what would be a finding, if somebody had not taken the risk
	Unknown  []unknown
}

// An accepted finding is no problem, because an override says so.
type accepted struct {
	ledger.Finding
	policy.Decision
}

// A found is something that a rule says is wrong, in the severity and for the
// owner that the site has decided.
type found struct {
	ledger.Finding
	detect.Text
}

// An unknown is something that could not be judged.
type unknown struct {
	Probe  string `json:"probe"`
	Object string `json:"object"`
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

// run looks and judges.
func (l *look) run(ctx context.Context) (judged, error) {
	l.collector.RunOnce(ctx)
	if err := ctx.Err(); err != nil {
		return judged{}, err
	}
	result := judged{Snapshot: l.collector.Snapshot()}
	for _, entry := range l.entries {
		result.Unknown = append(result.Unknown, unknowns(result.Snapshot.Reports[entry.Spec.Name])...)
	}
	evaluation := l.monitor.Rules.Evaluate(ctx, result.Snapshot, "")
	for _, failure := range evaluation.Errors {
		result.Unknown = append(result.Unknown, unknown{Probe: collector.AgentProbe, Object: failure.Rule, Reason: "other", Error: failure.Err.Error()})
	}
	for _, finding := range evaluation.Findings {
		if !l.asked(finding.Probe) {
			continue // rules on the running agent say nothing about a host without one
		}
		s := policy.Subject{Probe: finding.Probe, Check: finding.Check, Object: finding.Object, Severity: finding.Severity, Owner: finding.Owner}
		decision := l.monitor.Policy.Decide(s, evaluation.At)
		if decision.Accepted {
			result.Accepted = append(result.Accepted, accepted{finding, decision})
			continue
		}
		key := finding.Key
		finding.Severity, finding.Owner = decision.Severity, decision.Owner
		text, err := l.monitor.Rules.Text(ctx, result.Snapshot, key)
		if err != nil {
			text = detect.Text{Summary: finding.Summary}
		}
		result.Findings = append(result.Findings, found{finding, text})
	}
	slices.SortStableFunc(result.Findings, func(a, b found) int { return rank(a.Severity) - rank(b.Severity) })
	return result, nil
}

func (l *look) asked(probe string) bool {
	return slices.ContainsFunc(l.entries, func(entry collector.Entry) bool { return entry.Spec.Name == probe })
}

func rank(severity string) int { return slices.Index(detect.Severities(), severity) }

func unknowns(report *collector.Report) []unknown {
	var list []unknown
	for _, fault := range report.Faults {
		list = append(list, unknown{report.Probe, fault.Object, string(fault.Reason), fault.Err.Error()})
	}
	if report.Outcome == collector.Failed && len(list) == 0 {
		list = append(list, unknown{report.Probe, "host", "other", "the probe could not run"})
	}
	return list
}

// status returns the exit status of monitoring plugins: 2 when something is
// critical, else 3 when something could not be judged, else 1 for a warning.
func (j judged) status() exitStatus {
	has := func(severity string) bool {
		return slices.ContainsFunc(j.Findings, func(f found) bool { return f.Severity == severity })
	}
	switch {
	case has(detect.Critical):
		return 2
	case len(j.Unknown) > 0:
		return exitUnknown
	case has(detect.Warning):
		return 1
	}
	return 0
}
