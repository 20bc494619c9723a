package collector

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

func TestShare(t *testing.T) {
	tests := []struct {
		name   string
		budget int
		wants  []int
		want   []int
	}{
		{"nobody", 10, nil, []int{}},
		{"enough for all", 10, []int{3, 0, 7}, []int{3, 0, 7}},
		{"the small one gets all it wants, the others share the rest", 100, []int{500, 10, 80}, []int{45, 10, 45}},
		{"what does not divide goes to the largest", 10, []int{9, 9, 9}, []int{3, 3, 4}},
		{"less than one for each", 1, []int{5, 5}, []int{0, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, share(test.budget, test.wants)); diff != "" {
				t.Errorf("shares (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBudgetShowsTheWorstObjectsWhole(t *testing.T) {
	big := &script{run: func(context.Context) (probes.Result, error) {
		var r probes.Result
		r.Add(changes, 3, "added")
		for _, object := range []string{"a", "b", "c", "d", "e", "f"} {
			r.Add(newest, 1, object, "")
			r.Add(info, 1, object, "words")
		}
		r.Add(info, 1, "b", "more words")
		r.Fault("e", probes.ErrNotApplicable)
		return r, nil
	}}
	priorities := map[string]int{"d": 2, "b": 1}
	c := New(Options{
		Log: slog.New(slog.DiscardHandler), SeriesLimit: 10,
		Priority: func(probe, object string) int {
			if probe != "test" {
				return 0
			}
			return priorities[object]
		},
	})
	c.Replace([]Entry{testEntry("test", big), testEntry("small", sees("small", "x"))})
	c.RunOnce(t.Context())

	// Nine series are left for the big one: d, b and e come first, then a.
	if got, want := exposed(t, c, "test"), "changes_total/1 info/a info/b info/b info/d info/e newest_timestamp_seconds/a newest_timestamp_seconds/b newest_timestamp_seconds/d newest_timestamp_seconds/e"; got != want {
		t.Errorf("shown are\n%s, want\n%s", got, want)
	}
	if got := exposed(t, c, "small"); got != "newest_timestamp_seconds/x" {
		t.Errorf("of the small probe are shown %s", got)
	}
	s := c.Snapshot()
	if len(s.Reports["test"].Samples) != 14 {
		t.Errorf("the snapshot has %d facts, and must have all 14", len(s.Reports["test"].Samples))
	}
	if cut, whole := value(s, seriesTruncated, "test"), value(s, seriesTruncated, "small"); cut != 1 || whole != 0 {
		t.Errorf("truncated: %v and %v, want 1 and 0", cut, whole)
	}

	priorities = map[string]int{"f": 1}
	c.RunOnce(t.Context())
	if got := exposed(t, c, "test"); !strings.Contains(got, "info/f") || strings.Contains(got, "info/d") {
		t.Errorf("after the problems changed, shown are %s", got)
	}
	c.Replace([]Entry{testEntry("test", big)})
	if got := c.published.Load().exposed["test"].limit; got != 10 {
		t.Errorf("when the other probe left, %d series may be shown, want all 10", got)
	}
}

// exposed lists the series of a probe as family/object, in order.
func exposed(t *testing.T, c *Collector, probe string) string {
	t.Helper()
	families, err := c.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var series []string
	for _, family := range families {
		name, found := strings.CutPrefix(family.GetName(), "hygiene_"+probe+"_")
		if !found {
			continue
		}
		for _, metric := range family.GetMetric() {
			object := "1"
			for _, label := range metric.GetLabel() {
				if label.GetName() == probes.LabelObject {
					object = label.GetValue()
				}
			}
			series = append(series, name+"/"+object)
		}
	}
	return strings.Join(series, " ")
}

func TestOnlyWhatChangedIsEncodedAgain(t *testing.T) {
	value := 1.0
	moving := &script{run: func(context.Context) (probes.Result, error) {
		var r probes.Result
		r.Add(newestOf("moving"), value, "a", "")
		return r, nil
	}}
	c := New(Options{Log: slog.New(slog.DiscardHandler)})
	c.Replace([]Entry{testEntry("moving", moving), testEntry("still", sees("still", "a"))})
	segments := func() map[string]*segment {
		all := map[string]*segment{}
		for name, e := range c.published.Load().exposed {
			all[name] = e.segment
		}
		return all
	}
	c.RunOnce(t.Context())
	first := segments()
	c.RunOnce(t.Context())
	if second := segments(); !maps.Equal(first, second) {
		t.Error("a run that changed nothing made the exposition anew")
	}
	value++
	c.RunOnce(t.Context())
	if third := segments(); third["moving"] == first["moving"] || third["still"] != first["still"] {
		t.Error("want one probe encoded anew and the other not")
	}
	c.Replace([]Entry{testEntry("moving", moving), testEntry("still", sees("still", "a"))})
	if fourth := segments(); fourth["still"] != first["still"] {
		t.Error("a reload made the exposition anew")
	}
}

func TestAgentReport(t *testing.T) {
	loaded := &probes.Metric{Name: "hygiene_rules_loaded", Help: "Rules, from a test.", Labels: []string{"kind"}}
	own := &probes.Metric{Name: "hygiene_state_success", Help: "Whether, from a test.", Labels: []string{"object"}}
	faulty := &script{run: func(context.Context) (probes.Result, error) {
		var r probes.Result
		for i := range shownFaults + 5 {
			r.Fault(fmt.Sprintf("object%02d", i), probes.Because(probes.Locked, probes.ErrNotApplicable))
		}
		r.Fault("object00", probes.Because(probes.Auth, probes.ErrNotApplicable))
		return r, nil
	}}
	c := New(Options{
		Log:         slog.New(slog.DiscardHandler),
		SelfMetrics: []*probes.Metric{loaded, own},
		Self: func() []probes.Sample {
			return []probes.Sample{sample(loaded, 60, "detection"), sample(own, 1, "ledger"), sample(own, 1), sample(probeSuccess, 0, "test")}
		},
	})
	off := testEntry("off", nil)
	off.Settings.Enabled = false
	none := &script{run: func(context.Context) (probes.Result, error) { return probes.Result{}, probes.ErrNotApplicable }}
	c.Replace([]Entry{testEntry("test", faulty), testEntry("none", none), off})
	fresh := c.Snapshot()
	c.RunOnce(t.Context())
	s := c.Snapshot()

	for _, test := range []struct {
		name      string
		snapshot  *Snapshot
		metric    *probes.Metric
		labels    []string
		want, max float64 // -1 is absent
	}{
		{"before the first run nothing is known of success", fresh, probeSuccess, []string{"none"}, -1, -1},
		{"nor of applicability", fresh, probeApplicable, []string{"none"}, -1, -1},
		{"a probe is due from the start", fresh, probeDue, []string{"none"}, 1, 1e10},
		{"faults are counted from 0", fresh, probeFaulted, []string{"test", "locked"}, 0, 0},
		{"panics are counted from 0", fresh, probePanics, []string{"test"}, 0, 0},
		{"a disabled probe has no facts", s, probeInterval, []string{"off"}, -1, -1},
		{"not applicable is a success", s, probeSuccess, []string{"none"}, 1, 1},
		{"but not applicable", s, probeApplicable, []string{"none"}, 0, 0},
		{"a good run is applicable", s, probeApplicable, []string{"test"}, 1, 1},
		{"the interval is that of the configuration", s, probeInterval, []string{"test"}, 60, 60},
		{"all faults are counted", s, probeFaulted, []string{"test", "locked"}, 55, 55},
		{"by reason", s, probeFaulted, []string{"test", "auth"}, 1, 1},
		{"the oldest are named", s, probeFaultSince, []string{"test", "object00", "auth"}, 1, 1e10},
		{"as many as fit", s, probeFaultSince, []string{"test", "object48", "locked"}, 1, 1e10},
		{"and no more", s, probeFaultSince, []string{"test", "object49", "locked"}, -1, -1},
		{"which is said", s, seriesTruncated, []string{"test"}, 1, 1},
		{"facts of other parts are merged", s, loaded, []string{"detection"}, 60, 60},
		{"the last due moment follows the last success", s, probeLastSuccess, []string{"test"}, 1, 1e10},
		{"the clock is that of the snapshot", s, agentTime, nil, probes.Seconds(s.At), probes.Seconds(s.At)},
	} {
		if got := value(test.snapshot, test.metric, test.labels...); got < test.want || got > test.max {
			t.Errorf("%s: %s%v is %v", test.name, test.metric.Name, test.labels, got)
		}
	}
	if due, last := value(s, probeDue, "test"), value(s, probeLastSuccess, "test"); due-last != 3*60+30 {
		t.Errorf("the probe is due %v s after its last success", due-last)
	}
	agent := s.Reports[AgentProbe]
	if evidence, _ := s.Evidence(AgentProbe, "ledger"); evidence != Observed {
		t.Error("the agent does not observe its own objects")
	}
	// The wrong number of labels was that of an object-less sample, and a
	// second value for a fact of the collector itself.
	var faults []string
	for _, fault := range agent.Faults {
		faults = append(faults, fmt.Sprint(fault.Object, " ", fault.Reason))
	}
	if want := []string{"host malformed", "host other"}; !slices.Equal(faults, want) {
		t.Errorf("what the agent said wrongly of itself: %q, want %q", faults, want)
	}
	if fresh.Reports[AgentProbe].Run >= agent.Run {
		t.Error("the agent's runs do not advance")
	}
}
