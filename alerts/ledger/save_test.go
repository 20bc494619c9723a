package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/ledger"
)

func TestSaveWritesOnlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.save()
		w.run(3)
		w.save()
		if w.disk.saves != 0 {
			t.Errorf("%d saves of an empty ledger", w.disk.saves)
		}
		w.fire(0)
		w.run(1)
		w.save()
		w.run(3)
		w.save()
		if w.disk.saves != 1 {
			t.Errorf("%d saves of one change", w.disk.saves)
		}
	})
}

func TestAFailedSaveIsReturnedAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(0)
		w.run(1)
		full := errors.New("no space left")
		w.disk.broken = full
		for range 2 {
			if err := w.ledger.Save(t.Context()); !errors.Is(err, full) {
				t.Errorf("Save on a full disk: %v", err)
			}
		}
		if w.state() != "open" {
			t.Error("a problem that cannot be saved is not shown")
		}
		w.disk.broken = nil
		before := w.only()
		w.restart(0)
		after := w.only()
		after.Held, after.HeldReason = false, ""
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("after the second try (-want +got):\n%s", diff)
		}
	})
}

func TestASaveThatHangsHoldsUpNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(0)
		w.run(1)
		w.disk.hang = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.ledger.Save(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Save on a hanging disk: %v", err)
		}
		w.silence()
		w.run(5)
		if w.state() != "none" {
			t.Error("nothing closes while a save hangs")
		}
		if err := w.ledger.Save(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second save beside a hanging one: %v", err)
		}
		results := make(chan error)
		for range 5 {
			go func() { results <- w.ledger.Save(t.Context()) }()
		}
		synctest.Wait()
		close(w.disk.hang)
		for range 5 {
			if err := <-results; err != nil {
				t.Errorf("Save after the disk came back: %v", err)
			}
		}
		if w.disk.saves != 2 {
			t.Errorf("%d saves, want the one that hung and one for all that waited", w.disk.saves)
		}
		w.restart(0)
		if w.state() != "none" {
			t.Error("the closing was not saved")
		}
	})
}

func TestOpenReportsWhatItCannotRestore(t *testing.T) {
	tests := []struct {
		name, data, want string
		open             int
	}{
		{"a file that is no JSON", `{"problems": [`, "restoring the ledger: unexpected end of JSON input", 0},
		{"a problem without an episode", `{"problems": [{"probe": "p", "since": "2026-01-01T00:00:00Z"}, {"probe": "q", "episode": "b", "since": "2026-01-01T00:00:00Z"}]}`, `problem "p// ()" with episode "" is not whole`, 1},
		{"one episode twice", `{"problems": [{"probe": "p", "episode": "b", "since": "2026-01-01T00:00:00Z"}, {"probe": "q", "episode": "b", "since": "2026-01-01T00:00:00Z"}]}`, `problem "q// ()" with episode "b" is not whole`, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, err := ledger.Open(ledger.Options{State: &disk{data: []byte(test.data)}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v", err)
			}
			if got := len(l.Problems()); got != test.open {
				t.Errorf("%d problems, want %d", got, test.open)
			}
		})
	}
}

func TestHistogramsWithOtherBoundsBeginAgain(t *testing.T) {
	data := `{"duration": {"port": {"bounds": [1, 2], "counts": [1, 2, 3], "sum": 9}}, "opened": [{"probe": "port", "check": "open", "count": 6}]}`
	l, err := ledger.Open(ledger.Options{State: &disk{data: []byte(data)}})
	if err != nil {
		t.Fatal(err)
	}
	want := ledger.Statistics{
		Opened:    map[ledger.Check]uint64{{Probe: "port", Check: "open"}: 6},
		Flaps:     map[ledger.Check]uint64{},
		Duration:  map[string]ledger.Histogram{},
		TimeToAck: map[string]ledger.Histogram{},
	}
	if diff := cmp.Diff(want, l.Statistics()); diff != "" {
		t.Errorf("statistics (-want +got):\n%s", diff)
	}
}

// FuzzOpen restores arbitrary files. Whatever they say, the ledger works: no
// key and no episode is open twice, a round can be taken in, and what is saved
// then is restored the same.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"steady_ns": -1, "wall": "2026-01-01T00:00:00Z", "problems": [{"probe": "p", "episode": "b", "since": "2026-01-01T00:00:00Z", "deadlines": ["2026-01-01T00:00:00Z"], "passed": 7, "ack": {"by": "kim"}}]}`))
	f.Add([]byte(`{"pending": [{"probe": "p", "start_steady_ns": 9223372036854775807}], "closed": [{"probe": "p", "at_steady_ns": -9223372036854775808}]}`))
	f.Add([]byte(`{"duration": {"p": {"bounds": [], "counts": []}}, "problems": [{"probe": "a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &disk{data: data}
		l, _ := ledger.Open(ledger.Options{State: d})
		keys, episodes := map[ledger.Key]bool{}, map[string]bool{}
		for _, p := range l.Problems() {
			if keys[p.Key] || episodes[p.Episode] {
				t.Fatalf("%s with episode %q twice", p.Key, p.Episode)
			}
			keys[p.Key], episodes[p.Episode] = true, true
		}
		l.Observe(ledger.Round{
			At:        time.Date(2026, 5, 2, 12, 0, 0, 0, time.UTC),
			Findings:  []ledger.Finding{{Key: key}},
			Evaluated: func(ledger.Key) bool { return true },
			Evidence:  func(ledger.Key) (ledger.Evidence, uint64) { return ledger.Observed, 1 },
		})
		before := l.Problems()
		if err := l.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		again, err := ledger.Open(ledger.Options{State: d})
		if err != nil {
			t.Fatal(err)
		}
		after := again.Problems()
		for i := range before {
			before[i].Held, before[i].HeldReason = true, ledger.AgentStarted
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("restored (-want +got):\n%s", diff)
		}
	})
}
