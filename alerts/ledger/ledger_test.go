package ledger_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/ledger"
)

// TestHoldAndClose is the table of what ends a problem and what does not. Every
// row begins with an open problem that was confirmed once.
func TestHoldAndClose(t *testing.T) {
	silent := func(w *world, evidence ledger.Evidence) { w.silence(); w.evidence = evidence }
	tests := []struct {
		name  string
		play  func(w *world)
		log   []string
		state string
	}{
		{"good runs for two minutes close it", func(w *world) { silent(w, ledger.Observed); w.run(5) }, []string{"closed resolved"}, "none"},
		{"good runs for less than two minutes do not", func(w *world) { silent(w, ledger.Observed); w.run(4) }, nil, "open"},
		{"one good run does not, however old", func(w *world) {
			silent(w, ledger.Observed)
			w.run(1)
			time.Sleep(time.Hour)
			w.evaluate()
			w.evaluate()
		}, nil, "open"},
		{"a second good run after an hour does", func(w *world) {
			silent(w, ledger.Observed)
			w.run(1)
			time.Sleep(time.Hour)
			w.run(1)
		}, []string{"closed resolved"}, "none"},
		{"the run in which it fired does not count", func(w *world) {
			silent(w, ledger.Observed)
			w.evaluate()
			time.Sleep(time.Hour)
			w.run(1)
		}, nil, "open"},
		{"a finding in between starts the silence again", func(w *world) {
			silent(w, ledger.Observed)
			w.run(4)
			w.fire(0)
			w.run(1)
			w.silence()
			w.run(4)
		}, nil, "open"},
		{"an expired fact holds it", func(w *world) { silent(w, ledger.Unknown); w.run(1000) }, []string{"held not_observed"}, "held not_observed"},
		{"a faulted object with a stale finding holds it", func(w *world) { w.evidence = ledger.Unknown; w.run(10) }, []string{"held not_observed"}, "held not_observed"},
		{"evidence after a fault releases and closes it", func(w *world) {
			silent(w, ledger.Unknown)
			w.run(10)
			w.evidence = ledger.Observed
			w.run(5)
		}, []string{"held not_observed", "released", "closed resolved"}, "none"},
		{"a fault in between delays the end only", func(w *world) {
			silent(w, ledger.Observed)
			w.run(1)
			w.evidence = ledger.Unknown
			w.run(10)
			w.evidence = ledger.Observed
			w.run(1)
		}, []string{"held not_observed", "closed resolved"}, "none"},
		{"a hung probe finishes no run and closes nothing", func(w *world) {
			silent(w, ledger.Observed)
			for range 100 {
				time.Sleep(30 * time.Second)
				w.evaluate()
			}
		}, nil, "open"},
		{"a panic or an abandoned run counts and proves nothing", func(w *world) {
			silent(w, ledger.Unknown)
			w.run(3)
			w.fire(0)
			w.evidence = ledger.Observed
			w.run(1)
		}, []string{"held not_observed", "released"}, "open"},
		{"a rule that fails holds it", func(w *world) { silent(w, ledger.Observed); w.broken = true; w.run(100) }, []string{"held rule_failed"}, "held rule_failed"},
		{"the rules of another probe leave it alone", func(w *world) {
			silent(w, ledger.Gone)
			w.broken, w.removed, w.probe = true, true, "port"
			w.run(100)
		}, nil, "open"},
		{"the rules of its probe alone close it", func(w *world) { silent(w, ledger.Observed); w.probe = "certificate"; w.run(5) }, []string{"closed resolved"}, "none"},
		{"a removed object closes it at once", func(w *world) { silent(w, ledger.Gone); w.evaluate() }, []string{"closed object_removed"}, "none"},
		{"an object that is missing and should not be stays open", func(w *world) { w.evidence = ledger.Gone; w.run(10) }, nil, "open"},
		{"a removed rule closes it at once", func(w *world) { silent(w, ledger.Unknown); w.broken, w.removed = true, true; w.evaluate() }, []string{"closed rule_removed"}, "none"},
		{"a rule that fires is not removed", func(w *world) { w.removed = true; w.run(10) }, nil, "open"},
		{"a disabled probe reports its objects as gone", func(w *world) { silent(w, ledger.Gone); w.run(1) }, []string{"closed object_removed"}, "none"},
		{"a probe that does not apply any more observes every object", func(w *world) { silent(w, ledger.Observed); w.run(5) }, []string{"closed resolved"}, "none"},
		{"a reload changes deadlines and closes nothing", func(w *world) {
			w.ledger.Reschedule(w.wall(), ladder())
			silent(w, ledger.Unknown)
			w.evaluate()
		}, []string{"held not_observed"}, "held not_observed"},
		{"a start of the agent holds it", func(w *world) { w.restart(time.Hour) }, nil, "held agent_started"},
		{"before the first run after a start nothing closes", func(w *world) {
			w.restart(time.Hour)
			silent(w, ledger.Unknown)
			w.evaluate()
		}, nil, "held not_observed"},
		{"a finding after a start releases it", func(w *world) { w.restart(time.Hour); w.run(1) }, []string{"released"}, "open"},
		{"good runs before and after a start add up", func(w *world) {
			silent(w, ledger.Observed)
			w.run(1)
			w.restart(time.Hour)
			w.run(1)
		}, []string{"closed resolved"}, "none"},
		{"a start does not make one run of two", func(w *world) {
			silent(w, ledger.Observed)
			w.restart(time.Hour)
			w.run(1)
			w.evaluate()
		}, []string{"released"}, "open"},
		{"a run number that comes again after a start counts again", func(w *world) {
			w.run(1)
			w.restart(time.Hour)
			silent(w, ledger.Observed)
			w.run(5)
		}, []string{"released", "closed resolved"}, "none"},
		{"a clock set forward by a year closes nothing early", func(w *world) {
			silent(w, ledger.Observed)
			w.run(2)
			w.step = 365 * 24 * time.Hour
			w.run(2)
		}, nil, "open"},
		{"a clock set back by a year closes nothing late", func(w *world) {
			silent(w, ledger.Observed)
			w.run(2)
			w.step = -365 * 24 * time.Hour
			w.run(3)
		}, []string{"closed resolved"}, "none"},
		{"a clock set back during a restart makes no negative span", func(w *world) {
			silent(w, ledger.Observed)
			w.run(2)
			w.step = -365 * 24 * time.Hour
			w.restart(time.Hour)
			w.run(4)
		}, []string{"released", "closed resolved"}, "none"},
		{"what returned within half an hour must be silent for half an hour", func(w *world) {
			silent(w, ledger.Observed)
			w.run(5)
			w.fire(0)
			w.run(1)
			w.silence()
			w.run(60)
		}, []string{"closed resolved", "opened"}, "open"},
		{"after that half hour it closes", func(w *world) {
			silent(w, ledger.Observed)
			w.run(5)
			w.restart(time.Minute)
			w.fire(0)
			w.run(1)
			w.silence()
			w.restart(time.Minute)
			w.run(61)
		}, []string{"closed resolved", "opened", "released", "closed resolved"}, "none"},
		{"what returned after half an hour is no flapping", func(w *world) {
			silent(w, ledger.Observed)
			w.run(5)
			w.run(60)
			w.fire(0)
			w.run(1)
			w.silence()
			w.run(5)
		}, []string{"closed resolved", "opened", "closed resolved"}, "none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fire(0)
				w.run(2)
				w.log = nil
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

// TestOpening is the table of when a finding opens a problem. Rounds are half a
// minute apart.
func TestOpening(t *testing.T) {
	tests := []struct {
		name  string
		play  func(w *world)
		log   []string
		state string
	}{
		{"without a wait it opens at once", func(w *world) { w.fire(0); w.run(1) }, []string{"opened"}, "open"},
		{"before its wait is over it does not", func(w *world) { w.fire(5 * time.Minute); w.run(10) }, nil, "none"},
		{"after its wait it does", func(w *world) { w.fire(5 * time.Minute); w.run(11) }, []string{"opened"}, "open"},
		{"a good run without it starts the wait again", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(10)
			w.silence()
			w.run(1)
			w.fire(5 * time.Minute)
			w.run(10)
		}, nil, "none"},
		{"a removed object ends the wait", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(10)
			w.silence()
			w.evidence = ledger.Gone
			w.run(1)
			w.fire(5 * time.Minute)
			w.run(10)
		}, nil, "none"},
		{"a removed rule ends the wait", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(10)
			w.silence()
			w.evidence, w.broken, w.removed = ledger.Unknown, true, true
			w.run(1)
			w.fire(5 * time.Minute)
			w.run(10)
		}, nil, "none"},
		{"a run that saw nothing does not end the wait", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(5)
			w.silence()
			w.evidence = ledger.Unknown
			w.run(5)
			w.fire(5 * time.Minute)
			w.run(1)
		}, []string{"opened", "held not_observed"}, "held not_observed"},
		{"a rule that fails does not end the wait, nor open anything", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(5)
			w.silence()
			w.broken = true
			w.run(50)
			if w.state() != "none" {
				w.t.Error("opened without a finding")
			}
			w.fire(5 * time.Minute)
			w.run(1)
		}, []string{"opened"}, "open"},
		{"after a day without news the wait is forgotten", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(5)
			w.silence()
			w.evidence = ledger.Unknown
			w.run(24 * 120)
			w.fire(5 * time.Minute)
			w.run(10)
		}, nil, "none"},
		{"the rules of another probe do not end the wait", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(5)
			w.silence()
			w.probe = "port"
			w.run(5)
			w.fire(5 * time.Minute)
			w.probe = ""
			w.run(1)
		}, []string{"opened"}, "open"},
		{"the wait goes on while the agent is away", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(1)
			w.restart(5 * time.Minute)
			w.run(1)
		}, []string{"opened"}, "open"},
		{"a clock set forward does not shorten the wait", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(1)
			w.step = time.Hour
			w.run(9)
		}, nil, "none"},
		{"a clock set back does not lengthen it", func(w *world) {
			w.fire(5 * time.Minute)
			w.run(1)
			w.step = -time.Hour
			w.run(10)
		}, []string{"opened"}, "open"},
		{"of two findings of one key the shorter wait counts", func(w *world) {
			w.fire(0)
			one := w.findings[0]
			one.For = time.Hour
			w.findings = append(w.findings, one)
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

func TestProblemShowsTheWholeTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(5 * time.Minute)
		w.run(11)
		since := w.wall().UTC()
		w.findings[0].Owner = "mail" // frozen
		w.findings[0].Summary = "a.pem is over"
		w.run(1)
		got := w.only()
		want := ledger.Problem{
			Key: key, Episode: got.Episode, Owner: "web", Rule: "CertificateExpired", Summary: "a.pem is over",
			Since:     since,
			Deadlines: []time.Time{since, since.Add(30 * time.Minute), since.Add(2 * time.Hour)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("problem (-want +got):\n%s", diff)
		}
		if len(got.Episode) != 8 {
			t.Errorf("episode %q", got.Episode)
		}
		got.Deadlines[0] = time.Time{}
		if diff := cmp.Diff(want, w.only()); diff != "" {
			t.Errorf("a copy is the ledger's own (-want +got):\n%s", diff)
		}
		version := w.ledger.Version()
		w.run(1)
		if w.ledger.Version() != version {
			t.Error("the version changed and the problem did not")
		}
	})
}

func TestSeveritiesAreProblemsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(0)
		warning := w.findings[0]
		warning.Severity = "warning"
		w.findings = append(w.findings, warning)
		w.run(1)
		both := w.ledger.Problems()
		w.findings = w.findings[1:] // critical falls silent
		w.run(6)
		if len(both) != 2 || both[0].Episode == both[1].Episode {
			t.Fatalf("problems %+v", both)
		}
		if diff := cmp.Diff(both[1], w.only()); diff != "" {
			t.Errorf("the warning changed with the fall (-before +after):\n%s", diff)
		}
	})
}

// TestEpisodesNeverRepeat draws from a source that repeats itself and then ends.
func TestEpisodesNeverRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.Random = &stutter{}
		w.start()
		w.fire(0)
		w.run(1)
		first := w.only().Episode
		w.silence()
		w.run(6)
		w.fire(0)
		w.run(1)
		if second := w.only().Episode; second == first {
			t.Errorf("episode %q came again", second)
		}
	})
}

type stutter struct{ calls int }

func (s *stutter) Read(p []byte) (int, error) {
	s.calls++
	clear(p)
	if s.calls > 2 {
		p[0] = byte(s.calls)
	}
	return len(p), nil
}
