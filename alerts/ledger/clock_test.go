package ledger_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/ledger"
)

// TestCaution is the table of what opens when the host has just booted or its
// clock cannot be trusted.
func TestCaution(t *testing.T) {
	boot := func(w *world) { // the host starts again, five minutes later
		w.options.Boot, w.options.StartupGrace = w.wall().Add(5*time.Minute), 10*time.Minute
		w.restart(5 * time.Minute)
	}
	unsynchronised := func() bool { return false }
	tests := []struct {
		name  string
		play  func(w *world)
		log   []string
		state string
	}{
		{"in the grace nothing opens", func(w *world) { boot(w); w.fire(0); w.run(19) }, nil, "none"},
		{"after the grace it opens", func(w *world) { boot(w); w.fire(0); w.run(20) }, []string{"opened"}, "open"},
		{"the grace is counted from boot, not from the start of the agent", func(w *world) {
			boot(w)
			w.restart(8 * time.Minute)
			w.fire(0)
			w.run(4)
		}, []string{"opened"}, "open"},
		{"no step of the clock ends the grace", func(w *world) { boot(w); w.fire(0); w.run(1); w.step = time.Hour; w.run(18) }, nil, "none"},
		{"what was open stays open", func(w *world) { w.fire(0); w.run(1); boot(w); w.run(1) }, []string{"opened", "released"}, "open"},
		{"what had waited before boot opens when it is due", func(w *world) { w.fire(6 * time.Minute); w.run(1); boot(w); w.run(2) }, []string{"opened"}, "open"},
		{"a restart in the grace is no way around it", func(w *world) {
			boot(w)
			w.fire(0)
			w.run(1)
			w.restart(time.Second)
			w.run(1)
		}, nil, "none"},
		{"with an unsynchronised clock nothing opens", func(w *world) { w.options.Synchronised = unsynchronised; w.start(); w.fire(0); w.run(100) }, nil, "none"},
		{"but not for ever", func(w *world) { w.options.Synchronised = unsynchronised; w.start(); w.fire(0); w.run(121) }, []string{"opened"}, "open"},
		{"nor again with every start of the agent", func(w *world) {
			w.options.Synchronised, w.options.Boot = unsynchronised, w.wall().Add(-time.Hour)
			w.start()
			w.fire(0)
			w.run(1)
		}, []string{"opened"}, "open"},
		{"before the build date nothing opens", func(w *world) { w.options.Built = w.wall().Add(24 * time.Hour); w.start(); w.fire(0); w.run(1000) }, nil, "none"},
		{"when the clock is right it opens", func(w *world) {
			w.options.Built = w.wall().Add(24 * time.Hour)
			w.start()
			w.fire(0)
			w.run(10)
			w.step = 25 * time.Hour
			w.run(1)
		}, []string{"opened"}, "open"},
		{"what had waited before opens even before the build date", func(w *world) {
			w.fire(time.Minute)
			w.run(1)
			w.options.Built = w.wall().Add(24 * time.Hour)
			w.restart(time.Minute)
			w.run(1)
		}, []string{"opened"}, "open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				test.play(w)
				if diff := cmp.Diff(test.log, w.log); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
				if got := w.state(); got != test.state {
					t.Errorf("state %q, want %q", got, test.state)
				}
			})
		})
	}
}

func TestDeadlinesThatPassedNeverMove(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration // since the opening
		play  func(w *world)
		tiers []time.Duration // the new policy
		want  []time.Duration
	}{
		{"a reload moves those to come", time.Minute, nil, []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}, []time.Duration{0, 2 * time.Hour, 3 * time.Hour}},
		{"a reload moves none that passed", time.Hour, nil, []time.Duration{0, 2 * time.Hour, 3 * time.Hour}, []time.Duration{0, 30 * time.Minute, 3 * time.Hour}},
		{"fewer tiers drop those to come", time.Hour, nil, []time.Duration{0}, []time.Duration{0, 30 * time.Minute}},
		{"no tiers keep those that passed", 3 * time.Hour, nil, nil, []time.Duration{0, 30 * time.Minute, 2 * time.Hour}},
		{"a new tier is not before one that passed", time.Hour, nil, []time.Duration{0, 0, time.Minute}, []time.Duration{0, 30 * time.Minute, 30 * time.Minute}},
		{"a new tier may be overdue at once", 20 * time.Minute, nil, []time.Duration{0, 10 * time.Minute}, []time.Duration{0, 10 * time.Minute}},
		{"a clock set back makes none movable", time.Hour, func(w *world) { w.evaluate(); w.step = -24 * time.Hour }, []time.Duration{0, 2 * time.Hour, 3 * time.Hour}, []time.Duration{0, 30 * time.Minute, 3 * time.Hour}},
		{"nor does a restart", time.Hour, func(w *world) { w.evaluate(); w.step = -24 * time.Hour; w.restart(0) }, []time.Duration{0, 2 * time.Hour, 3 * time.Hour}, []time.Duration{0, 30 * time.Minute, 3 * time.Hour}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fire(0)
				w.run(1)
				since := w.only().Since
				time.Sleep(test.after)
				if test.play != nil {
					test.play(w)
				}
				w.ledger.Reschedule(w.wall(), ladder(test.tiers...))
				var got []time.Duration
				for _, d := range w.only().Deadlines {
					got = append(got, d.Sub(since))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("deadlines since the opening (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestNoStepOfTheClockMovesSinceOrDeadlines(t *testing.T) {
	for _, step := range []time.Duration{-365 * 24 * time.Hour, -time.Hour, time.Hour, 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.fire(0)
			w.run(1)
			before := w.only()
			w.step = step
			w.run(10)
			w.restart(time.Minute)
			w.run(10)
			if diff := cmp.Diff(before, w.only()); diff != "" {
				t.Errorf("a step of %s (-before +after):\n%s", step, diff)
			}
			w.silence()
			w.run(5)
			for probe, h := range w.ledger.Statistics().Duration {
				if h.Sum < 0 || h.Sum > 3600 {
					t.Errorf("a step of %s: %s lasted %v s", step, probe, h.Sum)
				}
			}
		})
	}
}

func TestAckExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(0)
		w.run(1)
		if _, err := w.ledger.Ack(w.only().Episode, ledger.Ack{By: "kim", At: w.wall(), Expires: w.wall().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		w.restart(0)
		w.run(1)
		if w.only().Ack == nil {
			t.Error("the ack did not survive")
		}
		w.run(1)
		if w.only().Ack != nil {
			t.Error("the ack did not expire")
		}
		if diff := cmp.Diff([]string{"opened", "released", "ack_expired"}, w.log); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
}

// TestAStepBeforeARestartIsNoAbsence sets the clock while nothing else changes.
func TestAStepBeforeARestartIsNoAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(time.Hour)
		w.run(1)
		w.save()
		w.step = 100 * time.Hour
		w.run(1)
		w.restart(time.Minute)
		w.run(1)
		if w.state() != "none" {
			t.Error("a step of the clock was counted as time that the finding lasted")
		}
	})
}
