package collector

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
)

// A history applies runs to a report, one a minute.
type history struct {
	report   *Report
	schema   *schema
	settings probes.Settings
	now      time.Time
}

func newHistory() *history {
	return &history{
		report:   &Report{Probe: "test"},
		schema:   newSchema(testSpec("test").Metrics, map[string]bool{}),
		settings: probes.DefaultSettings(time.Minute), // so that facts last three minutes
		now:      time.Unix(1_000_000_000, 0),
	}
}

// run reads a run from words: "a=1" is a fact of a, "a!locked" a fault, "a-" a
// removal, "a." an observation; "error" and "none" are runs that told nothing.
func (h *history) run(words string) string {
	a := attempt{start: h.now, end: h.now.Add(time.Second)}
	h.now = h.now.Add(time.Minute)
	for word := range strings.FieldsSeq(words) {
		object, value, _ := strings.Cut(word, "=")
		faulty, reason, faulted := strings.Cut(word, "!")
		switch {
		case word == "error":
			a.err = errors.New("broken")
		case word == "none":
			a.err = probes.ErrNotApplicable
		case faulted:
			a.result.Fault(faulty, probes.Because(probes.Reason(reason), errors.New(reason)))
		case strings.HasSuffix(word, "-"):
			a.result.Gone(strings.TrimSuffix(word, "-"))
		case strings.HasSuffix(word, "."):
			a.result.Observe(strings.TrimSuffix(word, "."))
		default:
			var number float64
			fmt.Sscan(value, &number)
			a.result.Add(newest, number, object, "")
		}
	}
	h.report = h.report.after(a, h.schema, h.settings)
	return h.facts()
}

func (h *history) facts() string {
	var words []string
	for _, s := range h.report.Samples {
		words = append(words, fmt.Sprintf("%s=%v", s.Object(), s.Value))
	}
	for _, f := range h.report.Faults {
		words = append(words, fmt.Sprintf("%s!%s", f.Object, f.Reason))
	}
	return strings.Join(words, " ")
}

func TestFactsInForce(t *testing.T) {
	tests := []struct {
		name string
		runs []string // alternately what a run says and what is in force after it
	}{
		{"a good run replaces all facts", []string{"a=1 b=1", "a=1 b=1", "a=2", "a=2", "", ""}},
		{
			"failed runs keep facts and faults, the facts for three intervals only",
			[]string{"a=1 b!locked", "a=1 b!locked", "error", "a=1 b!locked", "error", "a=1 b!locked", "error", "b!locked", "error", "b!locked", "a=2", "a=2"},
		},
		{"where the probe is not applicable there is nothing", []string{"a=1 b!locked", "a=1 b!locked", "none", "", "error", "", "a=1", "a=1"}},
		{
			"an object with a fault keeps its facts for three intervals, beside neighbours that change",
			[]string{"a=1 b=1", "a=1 b=1", "a!auth b=2", "a=1 b=2 a!auth", "a!locked b=3", "a=1 b=3 a!locked", "a!auth b=4", "b=4 a!auth", "a=5 b=4", "a=5 b=4"},
		},
		{"new facts of an object with a fault replace the old ones", []string{"a=1", "a=1", "a=2 a!auth", "a=2 a!auth", "a!auth", "a=2 a!auth", "a!auth", "a!auth"}},
		{"an object that was never seen without a fault keeps nothing", []string{"a=1 a!auth", "a=1 a!auth", "a!auth", "a!auth"}},
		{"an object that nobody mentions has no facts, even if it has a fault later", []string{"a=1", "a=1", "b=1", "b=1", "a!auth", "a!auth"}},
		{
			"what a fault keeps is not kept longer by failed runs",
			[]string{"a=1 b=1", "a=1 b=1", "a!auth b=2", "a=1 b=2 a!auth", "error", "a=1 b=2 a!auth", "error", "b=2 a!auth", "error", "a!auth"},
		},
		{"a fault after failed runs keeps what is not too old", []string{"a=1", "a=1", "error", "a=1", "a!auth", "a=1 a!auth", "a!auth", "a!auth"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory()
			for i := 0; i < len(test.runs); i += 2 {
				if got := h.run(test.runs[i]); got != test.runs[i+1] {
					t.Fatalf("after run %d, %q, in force are %q, want %q", i/2+1, test.runs[i], got, test.runs[i+1])
				}
				if !slices.IsSortedFunc(h.report.Samples, compareSamples) {
					t.Error("the samples are not sorted")
				}
			}
		})
	}
}

func TestFaultsLastSinceTheirFirstRun(t *testing.T) {
	h := newHistory()
	begin := h.now
	for i, step := range []struct {
		run  string
		want []int // minutes at which each fault began
	}{
		{"a!auth", []int{0}},
		{"a!auth b!auth", []int{0, 1}},
		{"error", []int{0, 1}},
		{"a!locked b!auth", []int{3, 1}},
		{"a!locked a!auth", []int{4, 3}},
		{"a=1", nil},
		{"a!auth", []int{6}},
	} {
		h.run(step.run)
		var got []int
		for _, fault := range h.report.Faults {
			got = append(got, int(fault.Since.Sub(begin)/time.Minute))
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("after minute %d the faults began at %v, want %v", i, got, step.want)
		}
	}
}

func TestChangedTellsWhetherARunTaughtAnything(t *testing.T) {
	h := newHistory()
	for i, step := range []struct {
		run  string
		want uint64
	}{
		{"a=1 b!auth", 1},
		{"a=1 b!auth", 1},
		{"a=2 b!auth", 3},
		{"error", 4},
		{"error", 4},
		{"a=2 b!auth", 6},
		{"a=2", 7},
		{"a=2 b.", 7},
		{"none", 9},
		{"none", 9},
	} {
		before := h.report
		h.run(step.run)
		if h.report.Changed != step.want {
			t.Errorf("after run %d the last change is run %d, want %d", i+1, h.report.Changed, step.want)
		}
		if h.report.Changed == before.Changed && !sameSlice(h.report.Samples, before.Samples) {
			t.Errorf("after run %d, which changed nothing, the facts take memory again", i+1)
		}
	}
}

func TestKeptFactsFollowAReload(t *testing.T) {
	h := newHistory()
	h.run("a=1")
	metric := newestOf("test")
	h.schema = newSchema([]*probes.Metric{metric}, map[string]bool{})
	h.run("a!auth")
	if got := h.report.Samples; len(got) != 1 || got[0].Metric != metric {
		t.Errorf("the kept facts are %v, of another generation of the metric", got)
	}
	h.schema = newSchema(nil, map[string]bool{})
	if got := h.run("a!auth"); got != "a!auth" {
		t.Errorf("facts of a metric that is no longer declared are kept: %s", got)
	}
}

func TestEvidence(t *testing.T) {
	reports := func(runs ...string) map[string]*Report {
		all := map[string]*Report{
			"off": {Probe: "off", Outcome: Disabled, Run: 4},
			"new": {Probe: "new"},
			"agent": {
				Probe: "agent", Outcome: Succeeded, Run: 99, observed: map[string]bool{"host": true, "state": true},
			},
		}
		h := newHistory()
		for _, run := range runs {
			h.run(run)
		}
		all["test"] = h.report
		return all
	}
	tests := []struct {
		name          string
		runs          []string
		probe, object string
		want          Evidence
		run           uint64
	}{
		{"before the first run", nil, "test", "a", Unknown, 0},
		{"a fact", []string{"a=1"}, "test", "a", Observed, 1},
		{"an observation without facts", []string{"a."}, "test", "a", Observed, 1},
		{"a fact beside a fault", []string{"a=1 a!auth"}, "test", "a", Unknown, 1},
		{"a removal", []string{"a=1", "a-"}, "test", "a", Gone, 2},
		{"a removal and a fact", []string{"a=1 a-"}, "test", "a", Unknown, 1},
		{"no mention", []string{"a=1", "b=1"}, "test", "a", Unknown, 2},
		{"a fact that outlives a failed run", []string{"a=1", "error"}, "test", "a", Unknown, 2},
		{"a removal before a failed run", []string{"a-", "error"}, "test", "a", Unknown, 2},
		{"nothing of the kind", []string{"a=1", "none"}, "test", "a", Observed, 2},
		{"a disabled probe", nil, "off", "a", Gone, 4},
		{"a probe that is not configured", nil, "left", "a", Gone, 0},

		{"whether a probe works, before its first run", nil, "agent", "test", Unknown, 0},
		{"whether a probe works, after a good run", []string{"a=1"}, "agent", "test", Observed, 1},
		{"whether a probe works, after a failed run", []string{"error"}, "agent", "test", Observed, 1},
		{"whether a disabled probe works", nil, "agent", "off", Gone, 4},
		{"an object of the agent's own", []string{"error"}, "agent", "state", Observed, 99},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &Snapshot{Reports: reports(test.runs...)}
			if got, run := s.Evidence(test.probe, test.object); got != test.want || run != test.run {
				t.Errorf("evidence %d of run %d, want %d of run %d", got, run, test.want, test.run)
			}
		})
	}
}

func TestEvidenceOfAnObjectThatSomeProbeCouldNotInspect(t *testing.T) {
	tests := []struct {
		name   string
		runs   []string
		object string
		want   Evidence
	}{
		{"a fault is in force", []string{"a!auth"}, "a", Unknown},
		{"a fault was kept by a failed run", []string{"a!auth", "error"}, "a", Unknown},
		{"the fault is over", []string{"a!auth", "a=1"}, "a", Observed},
		{"the probe failed since the fault was over", []string{"a!auth", "a=1", "error"}, "a", Unknown},
		{"the probe failed since the object was removed", []string{"a!auth", "a-", "error"}, "a", Unknown},
		{"a probe failed that knows other objects only", []string{"b=1", "error"}, "a", Observed},
		{"the probe still has to run", nil, "a", Unknown},
		{"the probe has never succeeded", []string{"error", "error"}, "a", Unknown},
		{"nothing of the kind is left", []string{"a!auth", "none"}, "a", Observed},
		{"the host has a fault", []string{"host!auth"}, "host", Unknown},
		{"the fault of the host is over", []string{"host!auth", "host."}, "host", Observed},
		{"a probe failed that knows the host", []string{"host.", "error"}, "host", Observed},
		{"a probe failed that had a fault of the host", []string{"host!auth", "error"}, "host", Unknown},
		{"a probe has never succeeded, and may have a fault of the host", []string{"error"}, "host", Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory()
			for _, run := range test.runs {
				h.run(run)
			}
			s := &Snapshot{Reports: map[string]*Report{
				"agent": {Probe: "agent", Outcome: Succeeded, Run: 99, observed: map[string]bool{"host": true}},
				"off":   {Probe: "off", Outcome: Disabled, Run: 10},
				"test":  h.report,
			}}
			wantRun := uint64(10 + len(test.runs))
			if test.object == "host" {
				wantRun = 99
			}
			if got, run := s.Evidence("agent", test.object); got != test.want || run != wantRun {
				t.Errorf("evidence %d of run %d, want %d of run %d", got, run, test.want, wantRun)
			}
		})
	}
}
