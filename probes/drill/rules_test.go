package drill

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/alertstest"
	"hygiene_exporter/alerts/detect"
)

// alerts runs the probe, and returns which rules find something in what it
// exports.
func (r *rig) alerts(rules *detect.Rules) []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return alertstest.Found(r.t, rules, "drill", r.now, result.Samples, "HygieneDrill")
}

// Every rule fires on what the probe exports of a drill, and stays silent on the
// closest state that is in order.
func TestRulesOnWhatIsExported(t *testing.T) {
	rules := alertstest.Rules(t, "drill.yml", Spec().Metrics)
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
