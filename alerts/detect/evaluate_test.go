package detect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/promql"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

var at = time.Date(2026, 6, 1, 12, 0, 0, 123_000_000, time.UTC)

// fact makes a sample; the labels are those of its metric, in order.
func fact(t *testing.T, name string, value float64, labels ...string) probes.Sample {
	t.Helper()
	return probes.Sample{Metric: metric(t, name), Value: value, Labels: labels}
}

// snapshot puts the samples of each probe into its report.
func snapshot(samples ...probes.Sample) *collector.Snapshot {
	s := &collector.Snapshot{At: at, Reports: map[string]*collector.Report{
		"disk":               {Probe: "disk", Outcome: collector.Succeeded, Run: 1},
		collector.AgentProbe: {Probe: collector.AgentProbe, Outcome: collector.Succeeded, Run: 1},
	}}
	for _, sample := range samples {
		report := s.Reports[collector.AgentProbe]
		if strings.HasPrefix(sample.Metric.Name, "hygiene_disk_") {
			report = s.Reports["disk"]
		}
		report.Samples = append(report.Samples, sample)
	}
	return s
}

// rule makes a rule with a name, a check and a severity of its own.
func rule(alert, check, expr string) string {
	return strings.NewReplacer("HygieneDisk", alert, "check: broken", "check: "+check).Replace(file("'" + expr + "'"))
}

func found(objects ...string) []ledger.Finding {
	var all []ledger.Finding
	for _, object := range objects {
		all = append(all, ledger.Finding{
			Key:   ledger.Key{Probe: "disk", Check: "broken", Object: object, Severity: Warning},
			Owner: "db", Rule: "HygieneDisk", Summary: "Disk " + object,
		})
	}
	return all
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	now := probes.Seconds(at)
	tests := []struct {
		name  string
		expr  string
		facts []probes.Sample
		want  []ledger.Finding
		err   string
	}{
		{
			name: "a result for each object, sorted",
			expr: "hygiene_disk_broken == 1",
			facts: []probes.Sample{
				fact(t, "hygiene_disk_broken", 1, "sdb", "db"), fact(t, "hygiene_disk_broken", 1, "sda", "db"),
				fact(t, "hygiene_disk_broken", 0, "sdc", "db"),
			},
			want: found("sda", "sdb"),
		},
		{
			name: "nothing is found without facts",
			expr: "hygiene_disk_broken == 1",
		},
		{
			name: "time is that of the snapshot, to the millisecond",
			expr: "max without (slot) (hygiene_disk_deadline_timestamp_seconds <= time())",
			facts: []probes.Sample{
				fact(t, "hygiene_disk_deadline_timestamp_seconds", now-0.001, "before", "a", "db"),
				fact(t, "hygiene_disk_deadline_timestamp_seconds", now, "now", "a", "db"),
				fact(t, "hygiene_disk_deadline_timestamp_seconds", now+0.001, "after", "a", "db"),
			},
			want: found("before", "now"),
		},
		{
			name: "several slots of one object are one result",
			expr: "max without (slot) (hygiene_disk_deadline_timestamp_seconds <= time())",
			facts: []probes.Sample{
				fact(t, "hygiene_disk_deadline_timestamp_seconds", now, "sda", "a", "db"),
				fact(t, "hygiene_disk_deadline_timestamp_seconds", now-5, "sda", "b", "db"),
			},
			want: found("sda"),
		},
		{
			name: "an empty label is no label, so that both sides of a comparison meet",
			expr: "hygiene_disk_broken < hygiene_disk_limit",
			facts: []probes.Sample{
				fact(t, "hygiene_disk_broken", 1, "sda", ""), fact(t, "hygiene_disk_limit", 2, "sda", ""),
			},
			want: []ledger.Finding{{
				Key:  ledger.Key{Probe: "disk", Check: "broken", Object: "sda", Severity: Warning},
				Rule: "HygieneDisk", Summary: "Disk sda",
			}},
		},
		{
			name:  "a fact that is not a number is true of nothing",
			expr:  "hygiene_disk_broken > 0",
			facts: []probes.Sample{{Metric: metric(t, "hygiene_disk_broken"), Value: nan(), Labels: []string{"sda", "db"}}},
		},
		{
			name: "two results for one object fail the rule",
			expr: "hygiene_disk_broken == 1",
			facts: []probes.Sample{
				fact(t, "hygiene_disk_broken", 1, "sda", "db"), fact(t, "hygiene_disk_broken", 1, "sda", "web"),
			},
			err: `HygieneDisk: two results for the object "sda"`,
		},
		{
			name:  "a result without an object fails the rule",
			expr:  "hygiene_disk_broken == 1",
			facts: []probes.Sample{fact(t, "hygiene_disk_broken", 1, "", "db")},
			err:   "HygieneDisk: a result has no object",
		},
		{
			name: "a join with two partners fails the rule",
			expr: "hygiene_disk_broken > on (instance, object) group_left () hygiene_disk_limit",
			facts: []probes.Sample{
				fact(t, "hygiene_disk_broken", 1, "sda", "db"),
				fact(t, "hygiene_disk_limit", 0, "sda", "db"), fact(t, "hygiene_disk_limit", 0, "sda", "web"),
			},
			err: "HygieneDisk: found duplicate series for the match group {object=\"sda\"} on the right hand-side of the operation: " +
				"[{__name__=\"hygiene_disk_limit\", object=\"sda\", owner=\"web\"}, {__name__=\"hygiene_disk_limit\", object=\"sda\", owner=\"db\"}];many-to-many matching not allowed: matching labels must be unique on one side",
		},
		{
			name: "odd bytes in an object stay as they are",
			expr: "hygiene_disk_broken == 1",
			facts: []probes.Sample{
				fact(t, "hygiene_disk_broken", 1, "/srv/a \"b\"\\{{$value}}\n→", "db"),
			},
			want: found("/srv/a \"b\"\\{{$value}}\n→"),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := mustLoad(t, rule("HygieneDisk", "broken", test.expr)).Evaluate(t.Context(), snapshot(test.facts...), "")
			if diff := cmp.Diff(test.want, e.Findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			got := ""
			for _, err := range e.Errors {
				got += err.Error()
			}
			if got != test.err {
				t.Errorf("error %s\nwant  %s", got, test.err)
			}
			if !e.At.Equal(at) {
				t.Errorf("At = %s", e.At)
			}
			key := ledger.Key{Probe: "disk", Check: "broken", Object: "sda", Severity: Warning}
			if got, want := e.Evaluated(key), test.err == ""; got != want {
				t.Errorf("Evaluated = %t, want %t", got, want)
			}
		})
	}
}

func TestARuleThatFailsDisturbsNoOther(t *testing.T) {
	t.Parallel()
	rules := mustLoad(t, rule("HygieneDisk", "broken", "hygiene_disk_broken == 1"), rule("HygieneDiskLimit", "limit", "hygiene_disk_limit == 1"))
	e := rules.Evaluate(t.Context(), snapshot(
		fact(t, "hygiene_disk_broken", 1, "sda", "db"),
		fact(t, "hygiene_disk_limit", 1, "sda", "db"), fact(t, "hygiene_disk_limit", 1, "sda", "web"),
	), "")
	if diff := cmp.Diff(found("sda"), e.Findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if len(e.Errors) != 1 || e.Errors[0].Rule != "HygieneDiskLimit" {
		t.Errorf("errors = %v", e.Errors)
	}
}

func TestEvaluateSeesEachSnapshotAnew(t *testing.T) {
	t.Parallel()
	rules := mustLoad(t, rule("HygieneDisk", "broken", "hygiene_disk_broken == 1"))
	for i, object := range []string{"sda", "sdb", "sda", ""} {
		s := snapshot()
		s.At = at.Add(time.Duration(i) * time.Hour)
		if object != "" {
			s = snapshot(fact(t, "hygiene_disk_broken", 1, object, "db"))
		}
		got := rules.Evaluate(t.Context(), s, "").Findings
		var want []ledger.Finding
		if object != "" {
			want = found(object)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("snapshot %d (-want +got):\n%s", i, diff)
		}
	}
}

// An evaluation half a millisecond before the samples would see nothing.
func TestEvaluateBetweenMilliseconds(t *testing.T) {
	t.Parallel()
	rules := mustLoad(t, rule("HygieneDisk", "broken", "hygiene_disk_broken == 1"))
	for _, late := range []time.Duration{0, 1, 500 * time.Microsecond, 999_999} {
		s := snapshot(fact(t, "hygiene_disk_broken", 1, "sda", "db"))
		s.At = at.Add(late)
		if diff := cmp.Diff(found("sda"), rules.Evaluate(t.Context(), s, "").Findings); diff != "" {
			t.Errorf("%s late (-want +got):\n%s", late, diff)
		}
	}
}

func TestEvaluateOfOneProbe(t *testing.T) {
	t.Parallel()
	rules := mustLoad(
		t,
		rule("HygieneDisk", "broken", "hygiene_disk_broken == 1"),
		strings.NewReplacer("probe: disk", "probe: agent").Replace(rule("HygieneDue", "due",
			`max without (name) (label_replace(hygiene_probe_due_timestamp_seconds <= time(), "object", "$1", "name", "(.*)"))`)),
		strings.NewReplacer("probe: disk", "probe: agent").Replace(rule("HygieneReader", "reader", "hygiene_disk_limit == 1")),
	)
	s := snapshot(
		fact(t, "hygiene_disk_broken", 1, "sda", "db"), fact(t, "hygiene_disk_limit", 1, "sda", "db"),
		fact(t, "hygiene_probe_due_timestamp_seconds", 1, "disk"),
	)
	tests := []struct {
		name      string
		probe     string
		found     []string
		evaluated map[string]bool
	}{
		{
			name: "all rules", probe: "", found: []string{"agent/due/disk", "agent/reader/sda", "disk/broken/sda"},
			evaluated: map[string]bool{"disk/broken": true, "agent/due": true, "agent/reader": true, "disk/removed": true},
		},
		{
			name: "the rules of a probe and those that read its metrics", probe: "disk", found: []string{"agent/reader/sda", "disk/broken/sda"},
			evaluated: map[string]bool{"disk/broken": true, "agent/due": false, "agent/reader": true, "disk/removed": false},
		},
		{
			name: "the rules of the agent", probe: "agent", found: []string{"agent/due/disk", "agent/reader/sda"},
			evaluated: map[string]bool{"disk/broken": false, "agent/due": true, "agent/reader": true, "disk/removed": false},
		},
		{
			name: "a probe without rules", probe: "other",
			evaluated: map[string]bool{"disk/broken": false, "agent/due": false, "agent/reader": false, "disk/removed": false},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := rules.Evaluate(t.Context(), s, test.probe)
			var got []string
			for _, f := range e.Findings {
				got = append(got, f.Probe+"/"+f.Check+"/"+f.Object)
			}
			if diff := cmp.Diff(test.found, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			evaluated := make(map[string]bool)
			for name := range test.evaluated {
				probe, check, _ := strings.Cut(name, "/")
				evaluated[name] = e.Evaluated(ledger.Key{Probe: probe, Check: check, Object: "x", Severity: Warning})
			}
			if diff := cmp.Diff(test.evaluated, evaluated); diff != "" {
				t.Errorf("Evaluated (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACheckIsEvaluatedWhenAllItsRulesAre(t *testing.T) {
	t.Parallel()
	critical := strings.NewReplacer("severity: warning", "severity: critical").Replace(rule("HygieneDiskLimit", "broken", "hygiene_disk_limit == 1"))
	s := snapshot(fact(t, "hygiene_disk_limit", 1, "sda", "db"), fact(t, "hygiene_disk_limit", 1, "sda", "web"))
	e := mustLoad(t, critical, rule("HygieneDisk", "broken", "hygiene_disk_broken == 1")).Evaluate(t.Context(), s, "")
	for _, severity := range Severities() {
		if e.Evaluated(ledger.Key{Probe: "disk", Check: "broken", Object: "sda", Severity: severity}) {
			t.Errorf("severity %s counts as evaluated although a rule of the check failed", severity)
		}
	}
}

func TestACancelledEvaluationTellsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := mustLoad(t, rule("HygieneDisk", "broken", "hygiene_disk_broken == 1")).Evaluate(ctx, snapshot(fact(t, "hygiene_disk_broken", 1, "sda", "db")), "")
	var cancelled promql.ErrQueryCanceled
	if len(e.Findings) > 0 || len(e.Errors) != 1 || !errors.As(e.Errors[0], &cancelled) {
		t.Errorf("findings %v, errors %v", e.Findings, e.Errors)
	}
	if e.Evaluated(found("sda")[0].Key) {
		t.Error("the silence of a cancelled evaluation counts")
	}
}

func TestAPanicIsAnErrorOfItsRule(t *testing.T) {
	t.Parallel()
	rules := mustLoad(t, rule("HygieneDisk", "broken", "hygiene_disk_broken == 1"))
	s := snapshot()
	s.Reports["disk"].Samples = []probes.Sample{{Value: 1}} // the collector promises that every sample has a metric
	e := rules.Evaluate(t.Context(), s, "")
	if len(e.Errors) != 1 || !strings.HasPrefix(e.Errors[0].Error(), "HygieneDisk: the query engine panicked: ") {
		t.Errorf("errors = %v", e.Errors)
	}
}

func TestEvaluateConcurrently(t *testing.T) {
	t.Parallel()
	rules := mustLoad(t, rule("HygieneDisk", "broken", "hygiene_disk_broken == 1"))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			object := fmt.Sprintf("sd%d", i/2)
			s := snapshot(fact(t, "hygiene_disk_broken", 1, object, "db"))
			for range 50 {
				if diff := cmp.Diff(found(object), rules.Evaluate(t.Context(), s, "").Findings); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestText(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer(
		"description: d", `description: 'for {{ $labels.object }} of {{ $labels.owner }}: {{ $value }}{{ range query (printf "hygiene_disk_limit{object=%q,instance=%q}" $labels.object $labels.instance) }}, at most {{ .Value }}{{ end }}'`,
		"action: a", "action: 'look at {{ $labels.object }}'",
	).Replace(rule("HygieneDisk", "broken", "hygiene_disk_broken == 1"))
	rules := mustLoad(t, text, strings.NewReplacer(
		"description: d", `description: '{{ range query "hygiene_disk_limt" }}{{ end }}'`, "action: a", `action: '{{ reReplaceAll "(" "" "x" }}'`,
	).Replace(rule("HygieneDiskLimit", "limit", "hygiene_disk_limit == 9")))
	s := snapshot(
		fact(t, "hygiene_disk_broken", 1, `a"b`, "db"), fact(t, "hygiene_disk_broken", 0, "fine", "db"),
		fact(t, "hygiene_disk_limit", 5, `a"b`, "db"), fact(t, "hygiene_disk_limit", 9, "worn", "db"),
	)
	tests := []struct {
		name string
		key  ledger.Key
		want Text
		err  string
	}{
		{
			name: "an object that the rule finds",
			key:  ledger.Key{Probe: "disk", Check: "broken", Object: `a"b`, Severity: Warning},
			want: Text{Summary: `Disk a"b`, Description: `for a"b of db: 1, at most 5`, Impact: "i", Action: `look at a"b`, Current: true},
		},
		{
			name: "an override has changed the severity",
			key:  ledger.Key{Probe: "disk", Check: "broken", Object: `a"b`, Severity: Critical},
			want: Text{Summary: `Disk a"b`, Description: `for a"b of db: 1, at most 5`, Impact: "i", Action: `look at a"b`, Current: true},
		},
		{
			name: "an object that the rule does not find any more",
			key:  ledger.Key{Probe: "disk", Check: "broken", Object: "fine", Severity: Warning},
			want: Text{Summary: "Disk fine", Impact: "i", Action: "look at fine"},
		},
		{
			name: "texts that cannot be expanded",
			key:  ledger.Key{Probe: "disk", Check: "limit", Object: "worn", Severity: Warning},
			want: Text{Summary: "Disk worn", Impact: "i", Current: true},
			err: "HygieneDiskLimit: description: error executing template text: template: text:1:121: executing \"text\" at <query \"hygiene_disk_limt\">: " +
				"error calling query: no probe declares the metric hygiene_disk_limt\n" +
				"HygieneDiskLimit: action: error executing template text: template: text:1:115: executing \"text\" at <reReplaceAll \"(\" \"\" \"x\">: " +
				"error calling reReplaceAll: regexp: Compile(`(`): error parsing regexp: missing closing ): `(`",
		},
		{
			name: "a check that no rule has",
			key:  ledger.Key{Probe: "disk", Check: "gone", Object: "x", Severity: Warning},
			err:  `no rule has the check "gone" of the probe "disk"`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := rules.Text(t.Context(), s, test.key)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if message := fmt.Sprint(err); message != test.err && (err != nil || test.err != "") {
				t.Errorf("error %s\nwant  %s", message, test.err)
			}
		})
	}
}
