package drill

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/collector"
)

// embedded returns the rules of this probe as they are shipped.
func embedded(t *testing.T) *detect.Rules {
	t.Helper()
	all, err := alerts.Rules()
	if err != nil {
		t.Fatal(err)
	}
	own := slices.DeleteFunc(all, func(f detect.File) bool { return filepath.Base(f.Name) != "drill.yml" })
	rules, err := detect.Load(own, Spec().Metrics)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// alerts runs the probe, and returns which rules find something in what it
// exports.
func (r *rig) alerts(rules *detect.Rules) []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	e := rules.Evaluate(r.t.Context(), &collector.Snapshot{At: r.now, Reports: map[string]*collector.Report{
		"drill": {Probe: "drill", Outcome: collector.Succeeded, Run: 1, Samples: result.Samples},
	}}, "drill")
	if len(e.Errors) > 0 {
		r.t.Fatal(e.Errors)
	}
	found := []string{}
	for _, finding := range e.Findings {
		found = append(found, strings.TrimPrefix(finding.Rule, "HygieneDrill"))
	}
	slices.Sort(found)
	return found
}

// Every rule fires on what the probe exports of a drill, and stays silent on the
// closest state that is in order.
func TestRulesOnWhatIsExported(t *testing.T) {
	rules := embedded(t)
	yes, no := true, false
	recorded := func(change func(*Record)) func(*rig) { return func(r *rig) { r.record(change) } }
	fed := map[string]bool{}
	for _, c := range []struct {
		rule          string
		fires, silent func(*rig)
	}{
		{"Overdue", func(r *rig) { r.day(10) }, func(r *rig) { r.day(9.999) }},
		{"Overdue", func(r *rig) { r.record(func(*Record) {}); r.day(10) }, func(r *rig) { r.day(1); r.record(func(*Record) {}); r.day(10) }},
		{"Failed", recorded(func(rec *Record) { rec.Result, rec.Recovered = Failed, &yes }), recorded(func(rec *Record) { rec.Recovered = &yes })},
		{"Failed", recorded(func(rec *Record) { rec.Result = Failed }), func(r *rig) {
			r.record(func(rec *Record) { rec.Result = Failed })
			r.day(1)
			r.record(func(*Record) {})
		}},
		{"NotRecovered", recorded(func(rec *Record) { rec.Recovered = &no }), recorded(func(rec *Record) { rec.Recovered = &yes })},
		{"Slow", recorded(func(rec *Record) { rec.Seconds = 61 }), recorded(func(rec *Record) { rec.Seconds = 60 })},
	} {
		fed["HygieneDrill"+c.rule] = true
		for _, state := range []struct {
			of   func(*rig)
			want []string
		}{{c.fires, []string{c.rule}}, {c.silent, []string{}}} {
			r := newRig(t, `[{name: ups, kind: attested, interval: 10d, objective: 1m}]`)
			r.alerts(rules) // from when it is configured
			state.of(r)
			if diff := cmp.Diff(state.want, r.alerts(rules)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.rule, diff)
			}
		}
	}
	for _, rule := range rules.Rules() {
		if !fed[rule.Alert] {
			t.Errorf("nothing that the probe exports makes %s fire here", rule.Alert)
		}
	}
}
