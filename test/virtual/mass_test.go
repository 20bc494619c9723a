package virtual

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"hygiene_exporter/alerts/ledger"
)

// fleet is many hosts that one Prometheus scrapes.
type fleet struct {
	t          *testing.T
	agents     map[string]*Agent
	prometheus *Prometheus
	cluster    *Cluster
}

func newFleet(t *testing.T, hosts int) *fleet {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	text, err := central()
	must(err)
	f := &fleet{t: t, agents: map[string]*Agent{}}
	f.cluster, err = NewCluster(text, 3)
	must(err)
	f.prometheus, err = NewPrometheus(t.TempDir(), f.cluster.Send)
	must(err)
	must(f.prometheus.Start(t.Context()))
	for i := range hosts {
		a, err := NewAgent(ladderPolicy(), nil)
		must(err)
		must(a.Start(t.Context()))
		f.agents[fmt.Sprintf("host%02d:10981", i)] = a
	}
	return f
}

func (f *fleet) close() {
	f.cluster.Close()
	for _, a := range f.agents {
		a.Kill()
	}
	if err := f.prometheus.Close(); err != nil {
		f.t.Error(err)
	}
}

// live lets time pass.
func (f *fleet) live(length time.Duration) {
	f.t.Helper()
	for range length / Interval {
		synctest.Wait()
		targets := Targets{}
		for name, a := range f.agents {
			targets[name] = a.Scrape()
		}
		if err := f.prometheus.Tick(f.t.Context(), targets); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(Interval)
	}
	synctest.Wait()
}

// breakDisk makes a disk of a host fail.
func (f *fleet) breakDisk(name, disk string, lasts time.Duration) {
	f.t.Helper()
	if err := f.agents[name].Break(f.t.Context(), disk, "critical", lasts); err != nil {
		f.t.Fatal(err)
	}
}

// told returns what a tier was told since an instant, of the mass or of single
// hosts.
func (f *fleet) told(since time.Time, tier string, mass bool) (all []Notice) {
	for _, n := range f.cluster.Notices() {
		is := n.Labels["kind"] == "mass"
		if n.Labels["escalation"] == model.LabelValue(tier) && is == mass && !n.At.Before(since) {
			all = append(all, n)
		}
	}
	return all
}

// What 25 hosts have at once is one page for each tier, in the time of the tier;
// no host is told of by itself, and everybody hears of the end once.
func TestMassProblemIsOnePageForEachTier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 25)
		defer f.close()
		f.live(10 * time.Minute)
		began := time.Now()
		for name := range f.agents {
			f.breakDisk(name, "disk", 3*time.Hour)
		}
		f.live(4 * time.Hour)
		for i, due := range []time.Duration{0, 30 * time.Minute, 2 * time.Hour} {
			tier := fmt.Sprint(i + 1)
			if single := f.told(began, tier, false); len(single) > 0 {
				t.Errorf("tier %s was told of %d single hosts, the first: %s", tier, len(single), single[0])
			}
			mass := f.told(began, tier, true)
			if len(mass) == 0 {
				t.Errorf("tier %s was not told", tier)
				continue
			}
			if late := mass[0].At.Sub(began.Add(due)); late < 0 || late > lateness {
				t.Errorf("tier %s was told %s after its deadline", tier, late)
			}
			ends := slices.IndexFunc(mass, func(n Notice) bool { return n.Resolved })
			if ends != len(mass)-1 {
				t.Errorf("tier %s heard of an end %d times, or was told of it again", tier, len(mass)-ends)
			}
		}
	})
}

// The page for the fleet covers only what the fleet has: another problem of one
// host is told, and so is each host that is left when the mass ends.
func TestMassProblemHidesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 25)
		defer f.close()
		began := time.Now()
		names := slices.Sorted(maps.Keys(f.agents))
		for i, name := range names {
			lasts := time.Hour
			if i < 3 { // three hosts do not recover
				lasts = 3 * time.Hour
			}
			f.breakDisk(name, "disk", lasts)
		}
		f.live(10 * time.Minute)
		if err := f.agents[names[0]].Break(t.Context(), "fan", "warning", 3*time.Hour); err != nil {
			t.Fatal(err)
		}
		f.live(10 * time.Minute)
		if !slices.ContainsFunc(f.told(began, "1", false), func(n Notice) bool { return n.Labels["severity"] == "warning" }) {
			t.Error("another problem of one of the hosts was not told")
		}
		f.live(85 * time.Minute)
		left := map[model.LabelValue]bool{}
		for _, n := range f.told(began.Add(time.Hour), "2", false) {
			if n.Labels["severity"] == "critical" && !n.Resolved {
				left[n.Labels["instance"]] = true
			}
		}
		if len(left) != 3 {
			t.Errorf("tier 2 was told of %d of the 3 hosts that are left", len(left))
		}
	})
}

// A host whose problem somebody has taken is not counted: the page for the fleet
// ends when all but a few are taken.
func TestMassProblemThatIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 25)
		defer f.close()
		began := time.Now()
		for name := range f.agents {
			f.breakDisk(name, "disk", 3*time.Hour)
		}
		f.live(10 * time.Minute)
		for _, a := range f.agents {
			for _, p := range a.monitor.Problems(context.Background()) {
				if _, err := a.monitor.Ack(t.Context(), p.Episode, 2*time.Hour, ledger.Ack{By: "kim"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		f.live(time.Hour)
		if told := f.told(began, "2", true); len(told) > 0 {
			t.Errorf("tier 2 was told what is taken: %s", told[0])
		}
		if told := f.told(began, "2", false); len(told) > 0 {
			t.Errorf("tier 2 was told what is taken: %s", told[0])
		}
	})
}
