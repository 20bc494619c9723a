// Package alertstest asks the rules that are shipped about what a probe exports,
// for the tests of probes.
package alertstest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// Rules returns the rules in a file as they are shipped.
func Rules(t *testing.T, file string, metrics []*probes.Metric) *detect.Rules {
	t.Helper()
	all, err := alerts.Rules()
	if err != nil {
		t.Fatal(err)
	}
	own := slices.DeleteFunc(all, func(f detect.File) bool { return f.Name != file })
	rules, err := detect.Load(own, metrics)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// Found returns the names of the rules that find something in what a probe
// exports at an instant, without a prefix, one for each finding, in order.
func Found(t *testing.T, rules *detect.Rules, probe string, at time.Time, samples []probes.Sample, prefix string) []string {
	t.Helper()
	e := rules.Evaluate(t.Context(), &collector.Snapshot{At: at, Reports: map[string]*collector.Report{
		probe: {Probe: probe, Outcome: collector.Succeeded, Run: 1, Samples: samples},
	}}, probe)
	if len(e.Errors) > 0 {
		t.Fatal(e.Errors)
	}
	found := []string{}
	for _, finding := range e.Findings {
		found = append(found, strings.TrimPrefix(finding.Rule, prefix))
	}
	slices.Sort(found)
	return found
}
