package virtual

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// faults are the kinds of disturbance. Durations stay below four minutes where
// Alertmanager would otherwise rightly take silence for an end.
func faults(r *rand.Rand, length time.Duration) disturbance {
	at := (time.Duration(r.Int64N(int64(length))) / Interval) * Interval
	lasts := func(most time.Duration) time.Duration {
		return (time.Duration(1+r.Int64N(int64(most/Interval))) * Interval)
	}
	which := r.IntN(2)
	member := r.IntN(3)
	switch r.IntN(7) {
	case 0:
		return disturbance{
			fmt.Sprintf("Prometheus %d is killed", which), at, at + lasts(3*time.Minute),
			func(w *world) {
				if w.prometheus[which].groups != nil {
					w.prometheus[which].Kill()
				}
			},
			func(w *world) {
				if w.prometheus[which].groups == nil {
					w.must(w.prometheus[which].Start(w.t.Context()))
				}
			},
		}
	case 1:
		return disturbance{
			fmt.Sprintf("Alertmanager %d is killed", member), at, at + lasts(10*time.Minute),
			func(w *world) { w.cluster.Members[member].Kill() },
			func(w *world) {
				if w.cluster.Members[member].log == nil {
					w.must(w.cluster.Members[member].Start())
				}
			},
		}
	case 2:
		return disturbance{
			"the agent is killed", at, at + lasts(20*time.Minute),
			func(w *world) {
				if w.agent.monitor != nil {
					w.agent.Kill()
				}
			},
			func(w *world) {
				if w.agent.monitor == nil {
					w.must(w.agent.Start(w.t.Context()))
				}
			},
		}
	case 3:
		return disturbance{
			"scrapes are lost", at, at + lasts(20*time.Minute),
			func(w *world) { w.cut = [2]bool{true, true} },
			func(w *world) { w.cut = [2]bool{} },
		}
	case 4:
		lasts := lasts(time.Hour)
		return disturbance{
			"it is silenced", at, at + lasts,
			func(w *world) { w.silence(lasts) },
			func(*world) {},
		}
	case 5:
		network := rand.New(rand.NewPCG(r.Uint64(), 3))
		return disturbance{
			"the network delays, reorders and repeats", at, at + lasts(30*time.Minute),
			func(w *world) { w.cluster.Network = func() []time.Duration { return troubled(network) } },
			func(w *world) { w.cluster.Network = nil },
		}
	}
	return disturbance{
		fmt.Sprintf("replica %d loses its target", which), at, at + lasts(time.Hour),
		func(w *world) { w.cut[which] = true },
		func(w *world) { w.cut[which] = false },
	}
}

// troubled returns when something that is sent arrives: up to two evaluations
// late, sometimes twice, so that what was sent later may come first.
func troubled(r *rand.Rand) []time.Duration {
	late := func() time.Duration { return time.Duration(r.Int64N(int64(2 * Interval))) }
	if r.IntN(3) == 0 {
		return []time.Duration{late(), late()}
	}
	return []time.Duration{late()}
}
