//go:build live

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// clusterSeeds is how many ladders a cluster climbs: a sample, or all.
func clusterSeeds() uint64 {
	if os.Getenv("HYGIENE_FULL") != "" {
		return 200
	}
	return 8
}

// Two replicas of Prometheus and three members of Alertmanager, of which
// something is killed or cut off at random moments of each ladder. Everybody is
// told in time, and of no end that is none. Twice is allowed: that is what
// Alertmanager promises when a member that sent could not say so.
func TestClusterLadders(t *testing.T) {
	slots := make(chan struct{}, 2) // each climbs with six programs
	for seed := range clusterSeeds() {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			climbCluster(t, rand.New(rand.NewPCG(seed, 2)))
		})
	}
}

// A blow is something that fails in a cluster, and what puts it right.
type blow struct {
	what string
	hit  func()
}

func blows(l *line) []blow {
	kill := func(name string, p *stack.Process) blow {
		return blow{name + " is killed", func() { l.restart(p) }}
	}
	cut := func(name string, gap *stack.Gap) blow {
		return blow{name + " loses its target", func() {
			gap.Cut(true)
			l.until(time.Now().Add(4 * time.Second))
			gap.Cut(false)
		}}
	}
	return []blow{
		kill("Prometheus", l.Prometheus), kill("the replica", l.Replica), kill("Alertmanager", l.Alertmanager),
		kill("the second Alertmanager", l.Peers[0]), kill("the third Alertmanager", l.Peers[1]),
		cut("Prometheus", l.Gap), cut("the replica", l.ReplicaGap),
	}
}

func climbCluster(t *testing.T, r *rand.Rand) {
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address(), Cluster: true})
	opened := time.Now()
	agent.change("e1", func(p *open) { p.since = opened })
	slack := patience + 3*stack.PeerTimeout + stack.ResendDelay
	for i, tier := range []string{"1", "2", "3"} {
		l.until(opened.Add(time.Duration(i)*rung + time.Duration(r.Int64N(int64(rung)))))
		all := blows(l)
		b := all[r.IntN(len(all))]
		t.Logf("%s after %s", b.what, time.Since(opened).Round(time.Millisecond))
		b.hit()
		page := l.wait(slack, firing("e1", tier))
		if late := page.At.Sub(opened) - time.Duration(i)*rung; late > slack || late < 0 {
			t.Errorf("%s late: %s", late, page)
		}
	}
	l.never(stack.Match{Status: "resolved"})
	agent.close("e1")
	// When both replicas start again at the end, neither has to know that the
	// problem was open: Alertmanager itself ends what nobody repeats.
	const expiry = 4 * stack.ResendDelay
	for _, tier := range []string{"1", "2", "3"} {
		l.wait(slack+expiry, resolved("e1", tier))
	}
}

// A replica that cannot reach the agent for long neither takes back what the
// other tells, nor tells what is over.
func TestReplicaThatLostItsTarget(t *testing.T) {
	t.Parallel()
	agent := newFakeAgent(t)
	l := start(t, stack.Options{Target: agent.address(), Cluster: true})
	agent.change("e1", func(*open) {})
	l.wait(patience, firing("e1", "1"))
	l.ReplicaGap.Cut(true)
	l.wait(2*rung+patience, firing("e1", "3"))
	l.never(stack.Match{Status: "resolved"})
	agent.change("e2", func(*open) {}) // of which the replica never hears
	l.wait(patience, firing("e2", "1"))
	l.until(time.Now().Add(2 * stack.ResendDelay))
	l.never(resolved("e2", "1"))
}
