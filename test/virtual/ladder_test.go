package virtual

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// seeds returns how many ladders to climb: a sample, or all.
func seeds() uint64 {
	if os.Getenv("HYGIENE_FULL") != "" {
		return 1000
	}
	return 24
}

func TestSeededLadders(t *testing.T) {
	var took delays
	t.Run("all", func(t *testing.T) {
		for seed := range seeds() {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { climb(t, seed, &took) })
			})
		}
	})
	t.Log(took.String())
}

// delays are the times from a deadline to the receiver, where nothing was
// disturbed.
type delays struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *delays) add(one time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, one)
}

func (d *delays) String() string {
	if len(d.all) == 0 {
		return "nobody was told"
	}
	slices.Sort(d.all)
	return fmt.Sprintf("from a deadline to the receiver, with scrapes and evaluations every %s and a group wait of 30s: p50 %s, p99 %s, of %d",
		Interval, d.all[len(d.all)/2], d.all[len(d.all)*99/100], len(d.all))
}

// climb lives through one random ladder and asserts who was told.
func climb(t *testing.T, seed uint64, took *delays) {
	r := rand.New(rand.NewPCG(seed, 1))
	minutes := func(from, to int) time.Duration { return time.Duration(from+r.IntN(to-from)) * time.Minute }
	opens, lasts := minutes(3, 20), minutes(5, 240)
	var window span
	if r.IntN(4) == 0 {
		from := time.Now().Truncate(time.Minute).Add(minutes(0, 120))
		window = span{from, from.Add(minutes(5, 120))}
	}
	w := newWorld(t, window)
	w.took = took
	defer w.close()
	steps := map[time.Duration][]func(){}
	if r.IntN(3) == 0 {
		wrong := func() time.Duration { return time.Duration(r.IntN(121)-60) * time.Second }
		w.skewClocks([2]time.Duration{wrong(), wrong()})
	}
	between := time.Duration(r.Int64N(int64(Interval))) // two scrapes
	steps[opens] = append(steps[opens], func() {
		time.AfterFunc(between, func() { w.must(w.agent.Break(t.Context(), "disk", "critical", lasts)) })
	})
	length := opens + lasts
	if r.IntN(2) == 0 {
		at, takes := opens+minutes(1, int(lasts/time.Minute)), minutes(5, 120)
		steps[at] = append(steps[at], func() { w.ack(takes) })
	}
	if r.IntN(3) == 0 {
		again, lasts := length+minutes(5, 60), minutes(5, 60)
		steps[again] = append(steps[again], func() { w.must(w.agent.Break(t.Context(), "disk", "critical", lasts)) })
		length = again + lasts
	}
	length += 50 * time.Minute // a problem that flaps stays open for half an hour
	var all []disturbance
	for range r.IntN(4) {
		all = append(all, faults(r, length-40*time.Minute))
	}
	w.disturb(steps, all)
	w.run(steps, length)
	w.judge()
	if t.Failed() {
		w.tell()
	}
}

// Two replicas that contradict each other about a host do not tell people of it
// every minute.
func TestReplicasThatDisagreeAboutAHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, span{})
		defer w.close()
		reach := func(cut ...bool) []func() { return []func(){func() { w.cut = [2]bool(cut) }} }
		w.run(map[time.Duration][]func(){
			5 * time.Minute:  reach(true, true),
			20 * time.Minute: reach(false, true),
			60 * time.Minute: reach(false, false),
		}, 2*time.Hour)
		told := 0
		for _, n := range w.cluster.Notices() {
			if n.Labels["check"] == "host_down" && n.Labels["escalation"] == "1" {
				told++
			}
		}
		if most := 12; told < 2 || told > most {
			t.Errorf("tier 1 was told %d times, and not 2 to %d", told, most)
		}
	})
}
