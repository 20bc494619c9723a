package ledger_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/ledger"
)

func TestHistoryTellsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fire(0)
		w.run(1)
		opened := w.only()
		if _, err := w.ledger.Ack(opened.Episode, ledger.Ack{By: "kim", At: w.wall(), Expires: w.wall().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		w.run(4) // over the end of the acknowledgement
		w.silence()
		w.run(6)
		closed := w.ledger.History()
		if len(closed) != 1 || closed[0].Episode != opened.Episode || closed[0].TakenBy != "kim" || closed[0].Ack != nil ||
			closed[0].Reason != ledger.Resolved || !closed[0].Closed.After(closed[0].Since) {
			t.Fatalf("history: %+v", closed)
		}
		w.restart(time.Minute)
		if diff := cmp.Diff(closed, w.ledger.History()); diff != "" {
			t.Errorf("history after a restart (-want +got):\n%s", diff)
		}
	})
}

func TestFlapsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 2 {
			w.fire(0)
			w.run(1)
			w.silence()
			w.run(70) // half an hour and more, which a flapping problem takes
		}
		w.restart(time.Minute)
		check := ledger.Check{Probe: key.Probe, Check: key.Check}
		s := w.ledger.Statistics()
		if s.Opened[check] != 2 || s.Flaps[check] != 0 {
			t.Errorf("after a calm return: %v opened, %v flaps", s.Opened, s.Flaps)
		}
		w.fire(0)
		w.run(1)
		w.silence()
		w.run(8)
		w.fire(0)
		w.run(1)
		w.restart(time.Minute)
		s = w.ledger.Statistics()
		if s.Opened[check] != 4 || s.Flaps[check] != 1 {
			t.Errorf("after a quick return: %v opened, %v flaps", s.Opened, s.Flaps)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 250 {
			w.ledger.Observe(ledger.Round{
				At: w.wall(), Evaluated: func(ledger.Key) bool { return true },
				Evidence: func(ledger.Key) (ledger.Evidence, uint64) { return ledger.Gone, 1 },
				Findings: []ledger.Finding{{Key: ledger.Key{Probe: "p", Check: "c", Object: fmt.Sprint(n), Severity: "warning"}}},
			})
			time.Sleep(time.Second)
		}
		if past := w.ledger.History(); len(past) != 200 || past[0].Object != "248" || past[199].Object != "49" {
			t.Errorf("%d are remembered, from %s to %s", len(past), past[0].Object, past[len(past)-1].Object)
		}
	})
}
