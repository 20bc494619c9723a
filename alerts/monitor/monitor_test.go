package monitor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

var broken = &probes.Metric{
	Name: "hygiene_thing_broken", Help: "Whether the thing is broken.", Labels: []string{"object", "owner"},
}

// things is a probe whose objects are as the test says.
type things struct{ broken map[string]bool }

func (t things) Run(context.Context) (r probes.Result, err error) {
	for object, bad := range t.broken {
		value := 0.0
		if bad {
			value = 1
		}
		r.Add(broken, value, object, "sre")
	}
	return r, nil
}

// memory is the State of a ledger that outlives it.
type memory struct{ saved []byte }

func (m *memory) Load(_ int, v any) (bool, error) {
	if m.saved == nil {
		return false, nil
	}
	return true, json.Unmarshal(m.saved, v)
}

func (m *memory) Save(_ int, v any) (err error) {
	m.saved, err = json.Marshal(v)
	return err
}

// agent is a monitor with a collector of things. Each look runs the probe and
// evaluates all rules, one minute after the one before.
type agent struct {
	t         *testing.T
	things    things
	state     *memory
	log       bytes.Buffer
	collector *collector.Collector
	monitor   *monitor.Monitor
	config    monitor.Config
}

const thingRules = `
groups:
- name: thing
  rules:
  - alert: HygieneThingBroken
    expr: hygiene_thing_broken == 1
    labels: {probe: thing, check: broken, severity: critical}
    annotations: {summary: '{{ $labels.object }} is broken', description: 'value {{ $value }}', impact: i, action: a}
`

func newAgent(t *testing.T, state *memory, objects map[string]bool) *agent {
	a := &agent{t: t, things: things{objects}, state: state}
	rules, err := detect.Load([]detect.File{{Name: "thing.yml", Data: []byte(thingRules)}}, []*probes.Metric{broken})
	if err != nil {
		t.Fatal(err)
	}
	a.config = monitor.Config{Rules: rules, Interval: time.Minute, PerCheck: 3}
	a.policy(nil, nil)
	book, err := ledger.Open(ledger.Options{State: state, Deadlines: monitor.Deadlines(a.config.Policy)})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&a.log, nil))
	a.collector = collector.New(collector.Options{Log: log})
	a.collector.Replace([]collector.Entry{{
		Spec:     probes.Spec{Name: "thing", Metrics: []*probes.Metric{broken}},
		Settings: probes.DefaultSettings(time.Minute),
		Probe:    a.things,
	}})
	a.monitor = monitor.New(monitor.Options{Snapshot: a.collector.Snapshot, Ledger: book, Log: log}, a.config)
	return a
}

func (a *agent) policy(overrides []policy.Override, windows []policy.Maintenance) {
	e := policy.Default()
	e.Timezone = "UTC"
	p, err := policy.New(e, overrides, windows)
	if err != nil {
		a.t.Fatal(err)
	}
	a.config.Policy = p
}

func (a *agent) look() {
	time.Sleep(time.Minute)
	a.collector.RunOnce(context.Background())
	a.monitor.Reconfigure(context.Background(), a.config)
}

// problems lists the open problems in short.
func (a *agent) problems() []string {
	list := []string{}
	for _, p := range a.monitor.Problems(context.Background()) {
		list = append(list, fmt.Sprintf("%s owner=%s held=%v", p.Key, p.Owner, p.Held))
	}
	return list
}

func (a *agent) expect(want ...string) {
	a.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), a.problems()); diff != "" {
		a.t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// exposition returns what a scrape sees of the monitor.
func (a *agent) exposition() string {
	a.t.Helper()
	families, _ := a.monitor.Families()
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			a.t.Fatal(err)
		}
	}
	return out.String()
}

func TestAProblemOpensAndClosesWithItsFact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, &memory{}, map[string]bool{"a": true, "b": false})
		a.look()
		a.expect("thing/broken/a (critical) owner=sre held=false")
		a.things.broken["a"] = false
		a.look()
		a.expect("thing/broken/a (critical) owner=sre held=false")
		a.look()
		a.look()
		a.look()
		a.expect()
		if log := a.log.String(); !strings.Contains(log, "change=opened") || !strings.Contains(log, "change=closed") {
			t.Errorf("the log lacks the opening or the closing:\n%s", log)
		}
	})
}

func TestRestoredProblemsArePublishedBeforeTheFirstEvaluation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := &memory{}
		a := newAgent(t, state, map[string]bool{"a": true})
		a.look()
		problem := a.monitor.Problems(context.Background())[0]
		if _, err := a.monitor.Ack(context.Background(), problem.Episode, time.Hour, ledger.Ack{By: "kim"}); err != nil {
			t.Fatal(err) // which also saves
		}
		b := newAgent(t, state, map[string]bool{})
		text := b.exposition()
		for _, want := range []string{
			`hygiene_problem_since_timestamp_seconds{check="broken",episode="` + problem.Episode + `",object="a",owner="sre",probe="thing",severity="critical"}`,
			`hygiene_problem_escalation_timestamp_seconds{check="broken",episode="` + problem.Episode + `",escalation="3",object="a"`,
			`hygiene_problem_ack_expiry_timestamp_seconds{`,
			`acked_by="kim"`, `held="agent_started"`, `summary="a is broken"`,
			`hygiene_problems_opened_total{check="broken",probe="thing"} 1`,
			`hygiene_problem_time_to_ack_seconds_count{probe="thing"} 1`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the exposition lacks %s:\n%s", want, text)
			}
		}
	})
}

func TestOverridesAcceptRisksAndChangeOwnersAndSeverities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, &memory{}, map[string]bool{"a": true, "b": true, "c": true})
		a.look()
		a.expect(
			"thing/broken/a (critical) owner=sre held=false",
			"thing/broken/b (critical) owner=sre held=false",
			"thing/broken/c (critical) owner=sre held=false",
		)
		a.policy([]policy.Override{
			{Object: "a", Severity: "none", Until: "2000-01-10", Reason: "known", By: "kim"},
			{Object: "b", Severity: "warning"},
			{Object: "c", Owner: "web"},
		}, nil)
		a.look()
		// The owner of an open problem does not change; it would be another alert.
		a.expect("thing/broken/b (warning) owner=sre held=false", "thing/broken/c (critical) owner=sre held=false")

		time.Sleep(12 * 24 * time.Hour) // beyond the last day of the accepted risk
		a.look()
		if got := a.problems(); !slices.Contains(got, "thing/broken/a (critical) owner=sre held=false") {
			t.Errorf("the accepted risk did not come back: %v", got)
		}
	})
}

func TestMaintenanceIsExportedWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight UTC
		a := newAgent(t, &memory{}, map[string]bool{"a": true})
		a.policy(nil, []policy.Maintenance{{Name: "nightly", Cron: "0 0 * * *", Duration: probes.Duration(time.Hour)}})
		a.look()
		if text := a.exposition(); !strings.Contains(text, "hygiene_problem_suppressed_until_timestamp_seconds{") {
			t.Errorf("in the window, nothing says so:\n%s", text)
		}
		time.Sleep(time.Hour)
		a.look()
		if text := a.exposition(); strings.Contains(text, "suppressed_until") {
			t.Errorf("after the window, it is still exported:\n%s", text)
		}
		a.expect("thing/broken/a (critical) owner=sre held=false")
	})
}

func TestATestProblemOpensAtOnceAndEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, &memory{}, map[string]bool{})
		if err := a.monitor.Test(context.Background(), "hello", "critical", "web", 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		a.expect("test/test/hello (critical) owner=web held=false")
		for range 4 {
			a.look()
		}
		a.expect("test/test/hello (critical) owner=web held=false")
		a.look()
		a.expect()
		for want, err := range map[string]error{
			`the severity "bad" is none of [critical warning info]`:  a.monitor.Test(context.Background(), "x", "bad", "", time.Minute),
			"a test problem needs an object":                         a.monitor.Test(context.Background(), "", "info", "", time.Minute),
			"a test lasts longer than 0 and at most 24h0m0s, not 0s": a.monitor.Test(context.Background(), "x", "info", "", 0),
		} {
			if err == nil || err.Error() != want {
				t.Errorf("got the error %v, want %s", err, want)
			}
		}
	})
}

func TestProblemsOfOneCheckAreCappedAndTheRestIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, &memory{}, map[string]bool{"a": true, "b": true, "c": true, "d": true, "e": true})
		a.look()
		text := a.exposition()
		if n := strings.Count(text, "hygiene_problem_since_timestamp_seconds{"); n != 3 {
			t.Errorf("%d problems are exported, want 3", n)
		}
		if !strings.Contains(text, `hygiene_problems_truncated{check="broken",probe="thing"} 2`) {
			t.Errorf("nothing says that 2 were left off:\n%s", text)
		}
		if n := len(a.problems()); n != 5 {
			t.Errorf("the API has %d problems, want 5", n)
		}
	})
}

func TestTheExpositionIsClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, &memory{}, map[string]bool{"a": true})
		a.look()
		a.things.broken["a"] = false
		for range 5 {
			a.look()
		}
		complaints, err := promlint.New(strings.NewReader(a.exposition())).Lint()
		if err != nil || len(complaints) > 0 {
			t.Errorf("promlint: %v %v", complaints, err)
		}
		if a.monitor.Priority("thing", "a") != 0 {
			t.Error("an object without a problem has a priority")
		}
	})
}

func TestWorstProblemsComeFirstInTheExposition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, &memory{}, map[string]bool{"a": true, "b": true})
		a.policy([]policy.Override{{Object: "b", Severity: "info"}}, nil)
		a.look()
		if high, low, none := a.monitor.Priority("thing", "a"), a.monitor.Priority("thing", "b"), a.monitor.Priority("thing", "c"); high <= low || low <= none {
			t.Errorf("priorities are %d, %d and %d, want them falling", high, low, none)
		}
	})
}
