package eventlog_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/eventlog"
	"hygiene_exporter/probes/internal/statefile"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return noon.Add(d) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// state opens the state of the agent that keeps it in dir.
func state(t *testing.T, dir string) probes.State {
	t.Helper()
	store, err := statefile.Open(statefile.Options{Dir: dir})
	must(t, err)
	return store.File("events")
}

func open(t *testing.T, state probes.State) *eventlog.Log {
	t.Helper()
	log, err := eventlog.Open(state, func() time.Time { return noon })
	must(t, err)
	return log
}

func TestEventsSurviveARestartInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := open(t, state(t, dir))
	first := probes.Event{Kind: "failover", Object: "bond/bond0", At: at(-time.Hour + time.Nanosecond), Detail: map[string]string{"to": "eth1"}}
	second := probes.Event{Kind: "failover", Object: "bond/bond1", At: at(-time.Minute)}
	other := probes.Event{Kind: "restore", Object: "db", At: at(0).In(time.FixedZone("", 7200))}
	for _, event := range []probes.Event{second, other, first, second, first} {
		must(t, log.Observe(event))
	}
	for name, log := range map[string]*eventlog.Log{"before": log, "after": open(t, state(t, dir))} {
		if diff := cmp.Diff([]probes.Event{first, second}, log.Observed("failover")); diff != "" {
			t.Errorf("%s the restart (-want +got):\n%s", name, diff)
		}
		if got := log.Observed("restore"); len(got) != 1 || !got[0].At.Equal(noon) {
			t.Errorf("%s the restart: %v", name, got)
		}
		if got := log.Observed("drill"); got != nil {
			t.Errorf("%s the restart: %v of a kind that nobody saw", name, got)
		}
	}
}

func TestOnlyIdenticalEventsAreOne(t *testing.T) {
	t.Parallel()
	log := open(t, state(t, ""))
	event := probes.Event{Kind: "failover", Object: "a", At: at(0), Detail: map[string]string{"to": "eth1"}}
	object, detail, instant := event, event, event
	object.Object = "b"
	detail.Detail = map[string]string{"to": "eth2"}
	instant.At = at(time.Nanosecond)
	for range 3 {
		for _, e := range []probes.Event{event, object, detail, instant} {
			must(t, log.Observe(e))
		}
	}
	if diff := cmp.Diff([]probes.Event{event, object, detail, instant}, log.Observed("failover")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	log := open(t, state(t, ""))
	must(t, log.Observe(probes.Event{Kind: "rare", At: at(0)}))
	for i := range 1100 {
		must(t, log.Observe(probes.Event{Kind: "failover", Object: fmt.Sprint(i), At: at(time.Duration(i) * time.Second)}))
	}
	must(t, log.Observe(probes.Event{Kind: "failover", Object: "late", At: at(-time.Hour)}))
	got := log.Observed("failover")
	if len(got) != 1000 || got[0].Object != "100" || got[999].Object != "1099" {
		t.Errorf("%d events from %q to %q; want the newest 1000", len(got), got[0].Object, got[len(got)-1].Object)
	}
	if got := log.Observed("rare"); len(got) != 1 {
		t.Errorf("events of another kind are %v; they must not be pushed out", got)
	}
}

func TestOldEventsAreForgotten(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := noon
	saved := state(t, t.TempDir())
	log, err := eventlog.Open(saved, func() time.Time { return now })
	must(t, err)
	must(t, log.Observe(probes.Event{Kind: "failover", Object: "old", At: at(0)}))
	must(t, log.Observe(probes.Event{Kind: "failover", Object: "too old", At: at(-401 * day)}))
	now = at(399 * day)
	must(t, log.Observe(probes.Event{Kind: "failover", Object: "new", At: now}))
	if got := log.Observed("failover"); len(got) != 2 {
		t.Errorf("after 399 days: %v", got)
	}
	now = at(401 * day)
	if got := log.Observed("failover"); len(got) != 1 || got[0].Object != "new" {
		t.Errorf("after 401 days: %v", got)
	}
	must(t, log.Observe(probes.Event{Kind: "failover", Object: "newer", At: now}))
	var stored map[string][]probes.Event
	if _, err := saved.Load(1, &stored); err != nil || len(stored["failover"]) != 2 {
		t.Errorf("on disk: %v, %v; want the two that are young", stored, err)
	}
}

func TestEventsAreNotShared(t *testing.T) {
	t.Parallel()
	log := open(t, state(t, ""))
	detail := map[string]string{"to": "eth1"}
	must(t, log.Observe(probes.Event{Kind: "failover", At: at(0), Detail: detail}))
	detail["to"] = "changed by the observer"
	log.Observed("failover")[0].Detail["to"] = "changed by a reader"
	if got := log.Observed("failover")[0].Detail["to"]; got != "eth1" {
		t.Errorf("the event now says %q", got)
	}
}

func TestIncompleteEventsAreRefused(t *testing.T) {
	t.Parallel()
	log := open(t, state(t, ""))
	for _, event := range []probes.Event{{At: at(0)}, {Kind: "failover"}} {
		if err := log.Observe(event); err == nil {
			t.Errorf("Observe(%+v) is no error", event)
		}
	}
}

// flaky is a state that fails as long as it has an error.
type flaky struct {
	probes.State
	err   error
	saves int
}

func (f *flaky) Load(version int, v any) (bool, error) {
	if f.err != nil {
		return false, f.err
	}
	return f.State.Load(version, v)
}

func (f *flaky) Save(version int, v any) error {
	f.saves++
	if f.err != nil {
		return f.err
	}
	return f.State.Save(version, v)
}

func TestAFailedSaveIsMadeUpFor(t *testing.T) {
	t.Parallel()
	broken := errors.New("no space left on device")
	disk := &flaky{State: state(t, t.TempDir()), err: broken}
	log, err := eventlog.Open(disk, time.Now)
	if !errors.Is(err, broken) {
		t.Errorf("Open = %v; want %v", err, broken)
	}
	event := probes.Event{Kind: "failover", At: time.Now()}
	if err := log.Observe(event); !errors.Is(err, broken) {
		t.Errorf("Observe = %v; want %v", err, broken)
	}
	if len(log.Observed("failover")) != 1 {
		t.Error("the event that could not be saved is not known")
	}
	disk.err = nil
	must(t, log.Observe(event))
	must(t, log.Observe(event))
	if disk.saves != 2 {
		t.Errorf("%d saves; want one that failed and one that made up for it", disk.saves)
	}
	if got := open(t, disk).Observed("failover"); len(got) != 1 {
		t.Errorf("after a restart: %v", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	log := open(t, state(t, ""))
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 50 {
				if err := log.Observe(probes.Event{Kind: "failover", Object: fmt.Sprint(worker), At: at(time.Duration(i))}); err != nil {
					t.Error(err)
				}
				log.Observed("failover")
			}
		})
	}
	group.Wait()
	if got := len(log.Observed("failover")); got != 200 {
		t.Errorf("%d events; want 200", got)
	}
}
