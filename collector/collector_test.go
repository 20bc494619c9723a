package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hygiene_exporter/probes"
)

var (
	newest = &probes.Metric{Name: "hygiene_test_newest_timestamp_seconds", Help: "When, from a test.", Labels: []string{"object", "owner"}}
	state  = &probes.Metric{
		Name: "hygiene_test_state", Help: "Which state, from a test.", Labels: []string{"object", "member", "state"},
		Values: map[string][]string{"state": {"good", "bad"}},
	}
	info    = &probes.Metric{Name: "hygiene_test_info", Help: "A description, from a test.", Labels: []string{"object", "words"}}
	changes = &probes.Metric{Name: "hygiene_test_changes_total", Help: "How often, from a test.", Kind: probes.Counter, Labels: []string{"event"}}
)

func testSpec(name string) probes.Spec {
	if name == "test" {
		return probes.Spec{Name: name, Metrics: []*probes.Metric{newest, state, info, changes}}
	}
	return probes.Spec{Name: name, Metrics: []*probes.Metric{newestOf(name)}}
}

// newestOf returns another metric of the same meaning, because two probes must
// not declare the same.
func newestOf(probe string) *probes.Metric {
	metric := *newest
	metric.Name = "hygiene_" + probe + "_newest_timestamp_seconds"
	return &metric
}

// A script is a probe that does what the test says, and notices when two of its
// runs overlap.
type script struct {
	run     func(ctx context.Context) (probes.Result, error)
	running atomic.Int32
	runs    atomic.Int32
	overlap atomic.Bool
}

func (s *script) Run(ctx context.Context) (probes.Result, error) {
	if s.running.Add(1) > 1 {
		s.overlap.Store(true)
	}
	defer s.running.Add(-1)
	s.runs.Add(1)
	return s.run(ctx)
}

func testEntry(name string, p probes.Probe) Entry {
	settings := probes.DefaultSettings(time.Minute)
	settings.Owner = "sre"
	return Entry{Spec: testSpec(name), Settings: settings, Probe: p}
}

// sees returns the named probe, which always sees the same objects.
func sees(probe string, objects ...string) *script {
	metric := newestOf(probe)
	return &script{run: func(context.Context) (probes.Result, error) {
		var r probes.Result
		for i, object := range objects {
			r.Add(metric, float64(i+1), object, "")
		}
		return r, nil
	}}
}

// start runs a collector until the end of the test.
func start(t *testing.T, o Options, entries ...Entry) *Collector {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := New(o)
	c.Replace(entries)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return c
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// show prints a report: its outcome, facts and faults, one a line.
func show(r *Report) string {
	lines := []string{fmt.Sprintf("run %d %s", r.Run, r.Outcome)}
	for _, s := range r.Samples {
		lines = append(lines, fmt.Sprintf("%s %q %v", strings.Join(strings.Split(s.Metric.Name, "_")[2:], "_"), s.Labels, s.Value))
	}
	for _, f := range r.Faults {
		lines = append(lines, fmt.Sprintf("fault %q %s", f.Object, f.Reason))
	}
	return strings.Join(lines, "\n")
}

// value returns a fact of the agent's report, or -1.
func value(s *Snapshot, metric *probes.Metric, labels ...string) float64 {
	for _, sample := range s.Reports[AgentProbe].Samples {
		if sample.Metric == metric && slices.Equal(sample.Labels, labels) {
			return sample.Value
		}
	}
	return -1
}

func TestWorkerOfAnEarlierGenerationChangesNothing(t *testing.T) {
	c := New(Options{Log: slog.New(slog.DiscardHandler)})
	c.Replace([]Entry{testEntry("test", sees("test", "a"))})
	old := c.published.Load().worker("test")
	c.Replace([]Entry{testEntry("test", sees("test", "b"))})
	if _, _, current := c.update(old, attempt{}); current {
		t.Error("its run was published")
	}
	if got := show(c.Snapshot().Reports["test"]); got != "run 0 not run" {
		t.Errorf("the report is\n%s", got)
	}
}

func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var hungOnce atomic.Bool
		stuck := &script{}
		stuck.run = func(context.Context) (probes.Result, error) {
			if hungOnce.CompareAndSwap(false, true) {
				<-hang
			}
			return sees("stuck", "late").run(t.Context())
		}
		faulty := &script{run: func(context.Context) (probes.Result, error) {
			r, _ := sees("stays", "a").run(t.Context())
			r.Fault("b", probes.Because(probes.Locked, errors.New("locked")))
			return r, nil
		}}
		var mu sync.Mutex
		var announced []string
		announce := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			announced = append(announced, name)
		}
		c := start(t, Options{OnRun: announce},
			testEntry("stays", faulty), testEntry("stuck", stuck), testEntry("off", sees("off", "x")), testEntry("leaves", sees("leaves", "y")))
		pass(10*time.Second + 2*time.Minute)
		before := c.Snapshot()

		disabled := testEntry("off", nil)
		disabled.Settings.Enabled = false
		c.Replace([]Entry{testEntry("stays", faulty), testEntry("stuck", stuck), disabled, testEntry("new", sees("new", "z"))})
		after := c.Snapshot()
		mu.Lock()
		want := append([]string{""}, slices.Repeat([]string{"leaves", "off", "stays", "stuck"}, 3)...)
		if got := slices.Sorted(slices.Values(announced)); !slices.Equal(got, slices.Sorted(slices.Values(append(want, "")))) {
			t.Errorf("up to the reload, announced were %q", got)
		}
		mu.Unlock()
		if after.Reports["stays"] != before.Reports["stays"] {
			t.Error("a probe that stays lost its report")
		}
		if after.Reports["leaves"] != nil {
			t.Error("a probe that left still has a report")
		}
		// That of the other one, which never succeeded, counts from the start.
		for _, name := range []string{"stays", "stuck"} {
			if was, is := value(before, probeDue, name), value(after, probeDue, name); was != is {
				t.Errorf("%s was due at %v, and after the reload at %v", name, was, is)
			}
		}
		if got := show(after.Reports["off"]); got != "run 3 disabled" {
			t.Errorf("the disabled probe reports:\n%s", got)
		}
		if got := show(after.Reports["new"]); got != "run 0 not run" {
			t.Errorf("the new probe reports:\n%s", got)
		}

		pass(40 * time.Second)
		if got, want := show(c.Snapshot().Reports["stays"]), "run 4 succeeded\nnewest_timestamp_seconds [\"a\" \"sre\"] 1\nfault \"b\" locked"; got != want {
			t.Errorf("the probe that stays reports:\n%s\nwant:\n%s", got, want)
		}
		if was, is := before.Reports["stays"].Faults[0].Since, c.Snapshot().Reports["stays"].Faults[0].Since; !was.Equal(is) {
			t.Errorf("the fault has lasted since %s, and after the reload since %s", was, is)
		}
		if got := show(c.Snapshot().Reports["stuck"]); got != "run 4 failed" {
			t.Errorf("while its old run hangs, the probe reports:\n%s", got)
		}
		if stuck.runs.Load() != 1 {
			t.Error("the new generation ran beside the hung run of the old one")
		}
		close(hang)
		pass(time.Minute)
		if got, want := show(c.Snapshot().Reports["stuck"]), "run 5 succeeded\nnewest_timestamp_seconds [\"late\" \"sre\"] 1"; got != want {
			t.Errorf("after its old run ended, the probe reports:\n%s\nwant:\n%s", got, want)
		}
		if stuck.overlap.Load() {
			t.Error("two runs of the probe overlapped")
		}

		c.Replace([]Entry{testEntry("off", sees("off", "x")), testEntry("leaves", sees("leaves", "y"))})
		pass(10 * time.Second)
		for _, name := range []string{"off", "leaves"} {
			if got := c.Snapshot().Reports[name]; got.Run != 4 || got.Outcome != Succeeded {
				t.Errorf("%s came back with run %d, %s; want 4", name, got.Run, got.Outcome)
			}
		}
	})
}

func TestReplaceWaitsForARunThatObeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := &script{run: func(ctx context.Context) (probes.Result, error) {
			select {
			case <-ctx.Done():
				time.Sleep(5 * time.Second) // cleaning up
				return probes.Result{}, ctx.Err()
			case <-time.After(20 * time.Second):
				return sees("test", "a").run(ctx)
			}
		}}
		c := start(t, Options{}, testEntry("test", probe))
		pass(10 * time.Second)
		c.Replace([]Entry{testEntry("test", probe)})
		pass(40 * time.Second)
		if got := c.Snapshot().Reports["test"]; got.Run != 1 || got.Outcome != Succeeded {
			t.Errorf("the first finished run is number %d and %s; the cancelled one says nothing", got.Run, got.Outcome)
		}
	})
}

func TestRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		stuck := &script{run: func(context.Context) (probes.Result, error) { <-release; return probes.Result{}, nil }}
		disabled := testEntry("off", sees("off", "x"))
		disabled.Settings.Enabled = false
		c := New(Options{Log: slog.New(slog.DiscardHandler)})
		c.Replace([]Entry{testEntry("good", sees("good", "a")), testEntry("stuck", stuck), disabled})
		begin := time.Now()
		c.RunOnce(t.Context())
		if took := time.Since(begin); took != 31*time.Second {
			t.Errorf("it took %s, want the timeout and a second of grace", took)
		}
		got := map[string]string{}
		for name, report := range c.Snapshot().Reports {
			got[name] = report.Outcome.String()
		}
		if want := fmt.Sprint(map[string]string{"agent": "succeeded", "good": "succeeded", "off": "disabled", "stuck": "failed"}); fmt.Sprint(got) != want {
			t.Errorf("outcomes %v, want %v", got, want)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		c.RunOnce(cancelled)
		if run := c.Snapshot().Reports["good"].Run; run != 1 {
			t.Errorf("a cancelled run was counted: %d", run)
		}
	})
}
