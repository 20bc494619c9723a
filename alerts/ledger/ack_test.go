package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/ledger"
)

// twoSeverities opens a critical and a warning of one object, and a warning of
// another whose name holds no slash.
func twoSeverities(w *world) []ledger.Problem {
	w.fire(0)
	for _, k := range []ledger.Key{
		{Probe: key.Probe, Check: key.Check, Object: key.Object, Severity: "warning"},
		{Probe: key.Probe, Check: key.Check, Object: "host", Severity: "warning"},
	} {
		w.findings = append(w.findings, ledger.Finding{Key: k})
	}
	w.run(1)
	return w.ledger.Problems()
}

func TestAckSelectors(t *testing.T) {
	tests := []struct {
		name     string
		selector func(all []ledger.Problem) string
		want     []string // severity and object
	}{
		{"an episode", func(all []ledger.Problem) string { return all[1].Episode }, []string{"warning /etc/ssl/a.pem"}},
		{"an episode in capitals", func(all []ledger.Problem) string { return strings.ToUpper(all[0].Episode) }, []string{"critical /etc/ssl/a.pem"}},
		{"an object with slashes, in all severities", func([]ledger.Problem) string { return "certificate/expired//etc/ssl/a.pem" }, []string{"critical /etc/ssl/a.pem", "warning /etc/ssl/a.pem"}},
		{"an object without slashes", func([]ledger.Problem) string { return "certificate/expired/host" }, []string{"warning host"}},
		{"an object that is not open", func([]ledger.Problem) string { return "certificate/expired/b" }, nil},
		{"a check alone", func([]ledger.Problem) string { return "certificate/expired" }, nil},
		{"a part of an episode", func(all []ledger.Problem) string { return all[0].Episode[:4] }, nil},
		{"nothing", func([]ledger.Problem) string { return "" }, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				selector := test.selector(twoSeverities(w))
				ack := ledger.Ack{By: "kim", Note: "on it", UID: 1000, At: w.wall().UTC(), Expires: w.wall().UTC().Add(2 * time.Hour)}
				changes, err := w.ledger.Ack(selector, ack)
				if (err != nil) != (test.want == nil) || err != nil && !errors.Is(err, ledger.ErrNoProblem) {
					t.Fatalf("Ack(%q): %v", selector, err)
				}
				var got, open []string
				for _, c := range changes {
					got = append(got, c.Problem.Severity+" "+c.Problem.Object)
					if diff := cmp.Diff(ledger.Change{Kind: ledger.Acked, Problem: c.Problem, By: "kim", UID: 1000}, c); diff != "" {
						t.Errorf("change (-want +got):\n%s", diff)
					}
				}
				for _, p := range w.ledger.Problems() {
					if p.Ack != nil {
						open = append(open, p.Severity+" "+p.Object)
						if diff := cmp.Diff(&ack, p.Ack); diff != "" {
							t.Errorf("ack (-want +got):\n%s", diff)
						}
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.want, open); diff != "" {
					t.Errorf("acknowledged (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAckIsValidated(t *testing.T) {
	now := time.Date(2026, 5, 2, 12, 0, 0, 0, time.UTC)
	valid := ledger.Ack{By: "kim", Note: "on it", At: now, Expires: now.Add(time.Hour)}
	tests := []struct {
		name   string
		change func(a *ledger.Ack)
		want   string
	}{
		{"it must last", func(a *ledger.Ack) { a.Expires = now }, "an acknowledgement lasts more than 0 and at most 30d, not 0s"},
		{"it must not last for ever", func(a *ledger.Ack) { a.Expires = now.Add(721 * time.Hour) }, "an acknowledgement lasts more than 0 and at most 30d, not 721h0m0s"},
		{"somebody must stand behind it", func(a *ledger.Ack) { a.By = " " }, "by must not be empty"},
		{"a name must be valid text", func(a *ledger.Ack) { a.By = "k\xffm" }, `by must be one line of text, not "k\xffm"`},
		{"a name must be short", func(a *ledger.Ack) { a.By = strings.Repeat("k", 101) }, "by must have at most 100 bytes, not 101"},
		{"a note must be one line", func(a *ledger.Ack) { a.Note = "a\nb" }, `note must be one line of text, not "a\nb"`},
		{"a note must end", func(a *ledger.Ack) { a.Note = strings.Repeat("k", 1001) }, "note must have at most 1000 bytes, not 1001"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fire(0)
				w.run(1)
				a := valid
				test.change(&a)
				_, err := w.ledger.Ack(w.only().Episode, a)
				if err == nil || err.Error() != test.want {
					t.Errorf("got %v, want %s", err, test.want)
				}
				if w.only().Ack != nil {
					t.Error("a refused ack was recorded")
				}
			})
		})
	}
}

func TestUnack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := twoSeverities(w)
		if _, err := w.ledger.Unack(all[0].Episode, "kim", 7); err == nil {
			t.Error("took back an ack that nobody gave")
		}
		if _, err := w.ledger.Ack(all[0].Episode, ledger.Ack{By: "kim", At: w.wall(), Expires: w.wall().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ledger.Unack(all[0].Episode, "", 7); err == nil {
			t.Error("nobody took an ack back")
		}
		changes, err := w.ledger.Unack("certificate/expired//etc/ssl/a.pem", "lee", 7)
		if err != nil || len(changes) != 1 {
			t.Fatalf("Unack: %v, %v", changes, err)
		}
		if c := changes[0]; c.Kind != ledger.Unacked || c.By != "lee" || c.UID != 7 || c.Problem.Ack.By != "kim" {
			t.Errorf("change %+v", c)
		}
		if diff := cmp.Diff(all, w.ledger.Problems()); diff != "" {
			t.Errorf("problems (-before the ack +after):\n%s", diff)
		}
	})
}

func TestStatistics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(0)
		w.run(1)
		ack := func() {
			t.Helper()
			if _, err := w.ledger.Ack(w.only().Episode, ledger.Ack{By: "kim", At: w.wall(), Expires: w.wall().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute)
		ack()
		w.restart(10 * time.Minute)
		ack() // counts once for each episode
		w.silence()
		w.run(5)
		w.restart(0)
		got := w.ledger.Statistics()
		check := ledger.Check{Probe: "certificate", Check: "expired"}
		if got.Opened[check] != 1 || got.Duration["certificate"].Sum != 1350 || got.TimeToAck["certificate"].Sum != 600 {
			t.Errorf("statistics %+v", got)
		}
		wantDuration := map[float64]uint64{300: 0, 900: 0, 3600: 1, 14400: 1, 86400: 1, 259200: 1, 604800: 1, 2592000: 1}
		if diff := cmp.Diff(wantDuration, got.Duration["certificate"].Cumulative()); diff != "" {
			t.Errorf("durations (-want +got):\n%s", diff)
		}
		if n := got.TimeToAck["certificate"].Count(); n != 1 {
			t.Errorf("%d times to ack", n)
		}
		got.Duration["certificate"].Counts[2] = 9
		got.Opened[check] = 9
		if again := w.ledger.Statistics(); again.Opened[check] != 1 || again.Duration["certificate"].Count() != 1 {
			t.Error("a copy is the ledger's own")
		}
	})
}
