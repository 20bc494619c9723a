package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hygiene_exporter/probes"
)

func TestProbeThroughGoodAndBadHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		fact := func(object string) (probes.Result, error) {
			var r probes.Result
			r.Add(newest, 7, object, "")
			return r, nil
		}
		steps := []struct {
			does string
			run  func(ctx context.Context) (probes.Result, error)
			want string
		}{
			{
				"ok", func(context.Context) (probes.Result, error) { return fact("a") },
				"run 1 succeeded\nnewest_timestamp_seconds [\"a\" \"sre\"] 7",
			},
			{
				"times out", func(ctx context.Context) (probes.Result, error) { <-ctx.Done(); return probes.Result{}, ctx.Err() },
				"run 2 failed\nnewest_timestamp_seconds [\"a\" \"sre\"] 7",
			},
			{
				"panics", func(context.Context) (probes.Result, error) { panic("ouch") },
				"run 3 failed\nnewest_timestamp_seconds [\"a\" \"sre\"] 7",
			},
			{
				"ends its goroutine", func(context.Context) (probes.Result, error) { runtime.Goexit(); return probes.Result{}, nil },
				"run 4 failed",
			},
			{
				"reports a name that is not UTF-8", func(context.Context) (probes.Result, error) { return fact("a\xff") },
				"run 5 succeeded\nnewest_timestamp_seconds [\"a\\\\xff\" \"sre\"] 7",
			},
			{
				"reports two facts with the same labels", func(context.Context) (probes.Result, error) {
					r, err := fact("a")
					r.Add(newest, 8, "b", "")
					r.Add(newest, 9, "a", "")
					return r, err
				},
				"run 6 succeeded\nnewest_timestamp_seconds [\"a\" \"sre\"] 7\nnewest_timestamp_seconds [\"b\" \"sre\"] 8\nfault \"a\" malformed",
			},
			{
				"is not applicable", func(context.Context) (probes.Result, error) {
					return probes.Result{}, fmt.Errorf("no disks: %w", probes.ErrNotApplicable)
				},
				"run 7 not applicable",
			},
			{
				"hangs", func(context.Context) (probes.Result, error) { <-hang; return fact("late") },
				"run 8 failed",
			},
			{"still hangs", nil, "run 9 failed"},
			{"hangs on", nil, "run 10 failed"},
			{
				"recovers", func(context.Context) (probes.Result, error) { return fact("a") },
				"run 11 succeeded\nnewest_timestamp_seconds [\"a\" \"sre\"] 7",
			},
		}
		var step atomic.Int32
		probe := &script{run: func(ctx context.Context) (probes.Result, error) { return steps[step.Load()].run(ctx) }}
		c := start(t, Options{}, testEntry("test", probe))
		time.Sleep(45 * time.Second) // each run has ended, and the next is not yet due
		for i := range steps {
			synctest.Wait()
			if got := show(c.Snapshot().Reports["test"]); got != steps[i].want {
				t.Errorf("when the probe %s:\n%s\nwant:\n%s", steps[i].does, got, steps[i].want)
			}
			if steps[i].does == "hangs on" {
				close(hang)
				synctest.Wait()
				if got := show(c.Snapshot().Reports["test"]); got != steps[i].want {
					t.Errorf("the late result of a run that was given up was published:\n%s", got)
				}
			}
			step.Store(int32(min(i+1, len(steps)-1)))
			time.Sleep(time.Minute)
		}
		snapshot := c.Snapshot()
		if panics, hung := value(snapshot, probePanics, "test"), value(snapshot, probeHung, "test"); panics != 1 || hung != 3 {
			t.Errorf("%v panics and %v hung runs were counted, want 1 and 3", panics, hung)
		}
		if probe.overlap.Load() {
			t.Error("two runs of the probe overlapped")
		}
	})
}

func TestRunsStartAtTheIntervalWhateverTheyTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Time
		probe := &script{run: func(ctx context.Context) (probes.Result, error) {
			starts = append(starts, time.Now())
			time.Sleep(time.Duration(len(starts)%7) * 5 * time.Second) // up to the timeout
			return probes.Result{}, nil
		}}
		begin := time.Now()
		start(t, Options{}, testEntry("test", probe))
		pass(5 * time.Hour)
		if first := starts[0].Sub(begin); first >= maxSpread {
			t.Errorf("the first run started after %s", first)
		}
		for i, at := range starts {
			if want := starts[0].Add(time.Duration(i) * time.Minute); !at.Equal(want) {
				t.Fatalf("run %d started %s after its time", i, at.Sub(want))
			}
		}
		if len(starts) != 300 {
			t.Errorf("%d runs in five hours, want 300", len(starts))
		}
	})
}

func TestStartsThatWereMissedAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var starts []time.Time
		probe := &script{run: func(context.Context) (probes.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			starts = append(starts, time.Now())
			return probes.Result{}, nil
		}}
		start(t, Options{OnRun: func(name string) {
			if name != "" {
				time.Sleep(150 * time.Second)
			}
		}}, testEntry("test", probe))
		pass(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		for i, at := range starts {
			if want := starts[0].Add(time.Duration(i) * 3 * time.Minute); !at.Equal(want) {
				t.Fatalf("run %d started %s after its time", i, at.Sub(want))
			}
		}
		if len(starts) != 20 {
			t.Errorf("%d runs in an hour, want 20", len(starts))
		}
	})
}

func TestFirstRunsAreSpreadAndPrompt(t *testing.T) {
	c := New(Options{Log: slog.New(slog.DiscardHandler)})
	delays := map[time.Duration]bool{}
	for i := range 100 {
		w := &worker{name: fmt.Sprint("probe", i), entry: testEntry("", nil)}
		delay := c.spread(w)
		if delay != c.spread(w) || delay < 0 || delay >= maxSpread {
			t.Errorf("%s is delayed by %s, then by %s", w.name, delay, c.spread(w))
		}
		delays[delay] = true
	}
	if len(delays) < 90 {
		t.Errorf("100 probes have only %d different delays", len(delays))
	}
	short := &worker{name: "port", entry: Entry{Settings: probes.DefaultSettings(5 * time.Second)}}
	if delay := c.spread(short); delay >= 500*time.Millisecond {
		t.Errorf("a probe with an interval of 5 s is delayed by %s", delay)
	}
}

func TestHungProbesDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var hung []*script
		var entries []Entry
		for i := range 10 {
			probe := &script{run: func(context.Context) (probes.Result, error) { <-hang; return probes.Result{}, nil }}
			hung = append(hung, probe)
			entries = append(entries, testEntry(fmt.Sprint("hung", i), probe))
		}
		healthy := sees("healthy", "a")
		c := start(t, Options{}, append(entries, testEntry("healthy", healthy))...)
		pass(time.Hour)
		goroutines := runtime.NumGoroutine()
		for range 4 {
			c.Replace(append(entries, testEntry("healthy", healthy)))
			pass(time.Hour)
		}
		// One left behind by each replacement would be 40; others than those of
		// this test come and go, too.
		if now := runtime.NumGoroutine(); now >= goroutines+len(hung) {
			t.Errorf("%d goroutines after an hour, %d after five", goroutines, now)
		}
		for i, probe := range hung {
			if runs := probe.runs.Load(); runs != 1 {
				t.Errorf("probe %d was started %d times while it hung", i, runs)
			}
		}
		if report := c.Snapshot().Reports["hung0"]; report.Outcome != Failed || report.Run < 290 || !errors.Is(report.Err, errHung) || report.Duration < 4*time.Hour {
			t.Errorf("after five hours: run %d, %s, %s, %v", report.Run, report.Outcome, report.Duration, report.Err)
		}
		if got := c.Snapshot().Reports["healthy"]; got.Outcome != Succeeded || got.Run < 299 {
			t.Errorf("the healthy probe beside them: run %d, %s", got.Run, got.Outcome)
		}
		close(hang)
		pass(2 * time.Minute)
		if got := c.Snapshot().Reports["hung0"]; got.Outcome != Succeeded {
			t.Errorf("after the hang: %s", got.Outcome)
		}
	})
}
