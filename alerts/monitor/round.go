package monitor

import (
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/collector"
)

// A judgement puts one evaluation into the terms of the ledger. Overrides are
// applied here, so that the rules stay free of the site's decisions and the
// ledger of where a finding comes from.
type judgement struct {
	config     *Config
	snapshot   *collector.Snapshot
	evaluation *detect.Evaluation
	probe      string // whose rules were evaluated; empty means all
	tests      *tests
}

func (j judgement) round() ledger.Round {
	round := ledger.Round{
		At:        j.evaluation.At,
		Probe:     j.probe,
		Findings:  j.decide(),
		Evaluated: func(key ledger.Key) bool { return key.Probe == TestProbe || j.evaluation.Evaluated(key) },
		Removed:   func(key ledger.Key) bool { return key.Probe != TestProbe && !j.possible(key) },
		Evidence:  j.evidence,
	}
	if j.probe == "" {
		round.Findings = append(round.Findings, j.tests.findings(j.evaluation.At)...)
	}
	return round
}

// decide applies the overrides. Two findings that become one problem count
// once.
func (j judgement) decide() []ledger.Finding {
	var decided []ledger.Finding
	seen := map[ledger.Key]bool{}
	for _, finding := range j.evaluation.Findings {
		decision := j.config.Policy.Decide(subject(finding.Key, finding.Owner), j.evaluation.At)
		finding.Severity, finding.Owner = decision.Severity, decision.Owner
		if !decision.Accepted && !seen[finding.Key] {
			seen[finding.Key] = true
			decided = append(decided, finding)
		}
	}
	return decided
}

// possible reports whether some rule can still lead to a problem of this key.
// When none can, because the rule was removed or disabled, the risk accepted or
// the severity changed, nothing will ever see the problem again.
func (j judgement) possible(key ledger.Key) bool {
	for _, rule := range j.config.Rules.Rules() {
		if rule.Probe != key.Probe || rule.Check != key.Check {
			continue
		}
		origin := policy.Subject{Probe: key.Probe, Check: key.Check, Object: key.Object, Severity: rule.Severity}
		decision := j.config.Policy.Decide(origin, j.evaluation.At)
		if !decision.Accepted && decision.Severity == key.Severity {
			return true
		}
	}
	return false
}

// evidence translates what the collector knows. What it says of a test problem
// is that it is gone: while the test lasts, its finding outweighs that.
func (j judgement) evidence(key ledger.Key) (ledger.Evidence, uint64) {
	if key.Probe == TestProbe {
		return ledger.Gone, 0
	}
	evidence, run := j.snapshot.Evidence(key.Probe, key.Object)
	switch evidence {
	case collector.Observed:
		return ledger.Observed, run
	case collector.Gone:
		return ledger.Gone, run
	}
	return ledger.Unknown, run
}
