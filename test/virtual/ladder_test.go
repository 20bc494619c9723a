package virtual

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"hygiene_exporter/alerts/escalation"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/probes"
)

// lateness is how late somebody may be told, or may be told no more, while
// nothing is disturbed: two scrapes and evaluations, the wait for a group, the
// delay of an Alertmanager that starts, and the wait for its peers.
const lateness = 4 * time.Minute

// centralPolicy is a policy whose receivers only remember.
const centralPolicy = `default_owner: sre
owners:
  sre: {backup: b, receivers: {critical: [primary, backup, manager], warning: [tickets]}}
  web: {backup: b, receivers: {critical: [primary, backup, manager], warning: [tickets]}}
chat: chat
deadman: deadman
receivers:
- {name: primary, webhook_configs: [{url: "http://receiver"}]}
- {name: backup, webhook_configs: [{url: "http://receiver"}]}
- {name: manager, webhook_configs: [{url: "http://receiver"}]}
- {name: tickets, webhook_configs: [{url: "http://receiver"}]}
- {name: chat, webhook_configs: [{url: "http://receiver"}]}
- {name: deadman, webhook_configs: [{url: "http://receiver", send_resolved: false}]}
`

func duration(d time.Duration) probes.Duration { return probes.Duration(d) }

// ladderPolicy has tiers at once, after half an hour and after two hours.
func ladderPolicy() policy.Escalation {
	e := policy.Default()
	tiers := []probes.Duration{0, duration(30 * time.Minute), duration(2 * time.Hour)}
	e.Policies = map[string]policy.Ladder{"critical": {Tiers: tiers}, "warning": {Tiers: tiers}}
	return e
}

// A disturbance is something that fails for a while.
type disturbance struct {
	what     string
	from, to time.Duration // since the beginning
	begin    func(*world)
	end      func(*world)
}

// world is everything of one scenario.
type world struct {
	t          *testing.T
	began      time.Time
	agent      *Agent
	prometheus [2]*Prometheus
	cut        [2]bool // whether a replica cannot reach the agent
	cluster    *Cluster

	disturbances []disturbance
	episodes     map[string]*episode
	took         *delays
}

// An episode is what the agent knows of a problem, and when.
type episode struct {
	ledger.Problem
	closed time.Time
	acks   []span
}

type span struct{ from, to time.Time }

func newWorld(t *testing.T) *world {
	t.Helper()
	text, err := escalation.Alertmanager("policy.yml", []byte(centralPolicy))
	if err != nil {
		t.Fatal(err)
	}
	// The message template is not needed: receivers only remember.
	text = []byte(strings.Replace(string(text), `templates: ["hygiene_exporter.tmpl"]`, "", 1))
	w := &world{t: t, began: time.Now(), episodes: map[string]*episode{}}
	if w.cluster, err = NewCluster(text, 3); err != nil {
		t.Fatal(err)
	}
	if w.agent, err = NewAgent(ladderPolicy(), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.agent.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range w.prometheus {
		p, err := NewPrometheus(t.TempDir(), w.cluster.Send)
		if err != nil {
			t.Fatal(err)
		}
		w.prometheus[i] = p
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) close() {
	w.cluster.Close()
	if w.agent.monitor != nil {
		w.agent.Kill()
	}
	for _, p := range w.prometheus {
		if err := p.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// must fails the test at an error of the rig.
func (w *world) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// observe notes what the agent knows now.
func (w *world) observe() {
	if w.agent.monitor == nil {
		return
	}
	now := time.Now()
	open := map[string]bool{}
	for _, p := range w.agent.monitor.Problems(context.Background()) {
		open[p.Episode] = true
		e := w.episodes[p.Episode]
		if e == nil {
			e = &episode{}
			w.episodes[p.Episode] = e
		}
		e.Problem = p.Problem
	}
	for name, e := range w.episodes {
		if e.closed.IsZero() && !open[name] {
			e.closed = now
		}
	}
}

// run lives through the scenario, one step after the other. Each step is at an
// instant since the beginning.
func (w *world) run(steps map[time.Duration][]func(), length time.Duration) {
	w.t.Helper()
	var times []time.Duration
	for at := range steps {
		times = append(times, at)
	}
	slices.Sort(times)
	for at := time.Duration(0); at < length; at += Interval {
		for len(times) > 0 && times[0] <= at {
			for _, do := range steps[times[0]] {
				do()
			}
			times = times[1:]
		}
		synctest.Wait()
		w.observe()
		exposition := w.agent.Scrape()
		for i, p := range w.prometheus {
			seen := exposition
			if w.cut[i] {
				seen = nil
			}
			w.must(p.Tick(w.t.Context(), seen))
		}
		time.Sleep(Interval)
	}
	synctest.Wait()
}

// disturb adds disturbances to the steps.
func (w *world) disturb(steps map[time.Duration][]func(), all []disturbance) {
	w.disturbances = all
	for _, d := range all {
		steps[d.from] = append(steps[d.from], func() { d.begin(w) })
		steps[d.to] = append(steps[d.to], func() { d.end(w) })
	}
}

// disturbed returns how long something was disturbed between two instants, and
// some time before, whose effects last.
func (w *world) disturbed(from, to time.Time) (total time.Duration) {
	for _, d := range w.disturbances {
		start, end := w.began.Add(d.from), w.began.Add(d.to)
		if start.Before(to.Add(lateness)) && end.Add(lateness).After(from) {
			total += d.to - d.from + lateness
		}
	}
	return total
}

// faults are the kinds of disturbance. Durations stay below four minutes where
// Alertmanager would otherwise rightly take silence for an end.
func faults(r *rand.Rand, length time.Duration) disturbance {
	at := (time.Duration(r.Int64N(int64(length))) / Interval) * Interval
	lasts := func(most time.Duration) time.Duration {
		return (time.Duration(1+r.Int64N(int64(most/Interval))) * Interval)
	}
	which := r.IntN(2)
	member := r.IntN(3)
	switch r.IntN(5) {
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
	}
	return disturbance{
		fmt.Sprintf("replica %d loses its target", which), at, at + lasts(time.Hour),
		func(w *world) { w.cut[which] = true },
		func(w *world) { w.cut[which] = false },
	}
}

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
	w := newWorld(t)
	w.took = took
	defer w.close()
	steps := map[time.Duration][]func(){}
	opens, lasts := minutes(3, 20), minutes(5, 240)
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

// ack takes what is open, for a while.
func (w *world) ack(takes time.Duration) {
	if w.agent.monitor == nil {
		return
	}
	now := time.Now()
	for _, p := range w.agent.monitor.Problems(w.t.Context()) {
		if _, err := w.agent.monitor.Ack(w.t.Context(), p.Episode, takes, ledger.Ack{By: "kim"}); err != nil {
			w.t.Error(err)
		}
		w.observe()
		e := w.episodes[p.Episode]
		e.acks = append(e.acks, span{now, now.Add(takes)})
	}
}

// tell prints the story of a scenario.
func (w *world) tell() {
	for _, d := range w.disturbances {
		w.t.Logf("%s from %s to %s", d.what, w.began.Add(d.from).Format("15:04:05"), w.began.Add(d.to).Format("15:04:05"))
	}
	for name, e := range w.episodes {
		w.t.Logf("episode %s from %s to %s, acks %v", name, e.Since.Format("15:04:05"), e.closed.Format("15:04:05"), e.acks)
	}
	for _, n := range w.cluster.Notices() {
		if n.Receiver != "deadman" {
			w.t.Log(n)
		}
	}
}

// notices returns what a tier was told of an episode.
func (w *world) notices(name string, tier int) (all []Notice) {
	for _, n := range w.cluster.Notices() {
		if n.Labels["episode"] == model.LabelValue(name) && n.Labels["escalation"] == model.LabelValue(fmt.Sprint(tier)) {
			all = append(all, n)
		}
	}
	return all
}

// judge asserts that everybody was told what they had to be told, and nothing
// else.
func (w *world) judge() {
	w.t.Helper()
	if len(w.episodes) == 0 {
		w.t.Error("nothing was ever open")
	}
	for _, n := range w.cluster.Notices() {
		if n.Labels["probe"] == "agent" && n.Labels["check"] != "host_down" {
			w.t.Errorf("nothing was wrong with the agent: %s", n)
		}
	}
	for name, e := range w.episodes {
		if e.closed.IsZero() {
			w.t.Errorf("episode %s never closed", name)
			continue
		}
		for i, deadline := range e.Deadlines {
			w.due(name, e, i+1, deadline)
			w.quiet(name, e, i+1, deadline)
			w.ended(name, e, i+1)
			w.once(name, i+1)
		}
	}
}

// wanted returns the spans in which a tier is to be told.
func (e *episode) wanted(tier int, deadline time.Time) []span {
	all := []span{{deadline, e.closed}}
	if tier == 1 {
		return all
	}
	for _, ack := range e.acks {
		var cut []span
		for _, s := range all {
			if ack.from.After(s.from) {
				cut = append(cut, span{s.from, earlier(s.to, ack.from)})
			}
			if ack.to.Before(s.to) {
				cut = append(cut, span{later(s.from, ack.to), s.to})
			}
		}
		all = cut
	}
	return all
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// due asserts that a tier was told in time.
func (w *world) due(name string, e *episode, tier int, deadline time.Time) {
	w.t.Helper()
	for _, s := range e.wanted(tier, deadline) {
		limit := s.from.Add(lateness + w.disturbed(s.from, s.from.Add(lateness)))
		if !limit.Before(s.to) {
			continue // it was over before anybody had to be told
		}
		notices := w.notices(name, tier)
		told := slices.IndexFunc(notices, func(n Notice) bool {
			return !n.Resolved && !n.At.Before(s.from) && !n.At.After(limit)
		})
		if told >= 0 && limit.Equal(s.from.Add(lateness)) {
			w.took.add(notices[told].At.Sub(s.from))
		}
		if told < 0 {
			w.t.Errorf("tier %d of %s was not told between %s and %s", tier, name, s.from.Format("15:04:05"), limit.Format("15:04:05"))
		}
	}
}

// quiet asserts that a tier was told of nothing when it did not have to be, and
// that it heard of no end that was none.
func (w *world) quiet(name string, e *episode, tier int, deadline time.Time) {
	w.t.Helper()
	wanted := e.wanted(tier, deadline)
	for _, n := range w.notices(name, tier) {
		in := slices.ContainsFunc(wanted, func(s span) bool {
			slack := lateness + w.disturbed(s.to, n.At)
			return !n.At.Before(s.from) && !n.At.After(s.to.Add(slack))
		})
		// Who cannot hear of an acknowledgement or of an end goes on as it was.
		deaf := w.disturbed(n.At.Add(-lateness), n.At) > 0
		if !n.Resolved && !in && !deaf {
			w.t.Errorf("told without need: %s", n)
		}
		still := slices.ContainsFunc(wanted, func(s span) bool { return !n.At.Before(s.from.Add(lateness)) && n.At.Before(s.to) })
		if n.Resolved && still && w.disturbed(n.At.Add(-lateness), n.At) == 0 {
			w.t.Errorf("a false end: %s", n)
		}
	}
}

// ended asserts that whoever was told of a problem heard of its end.
func (w *world) ended(name string, e *episode, tier int) {
	w.t.Helper()
	all := w.notices(name, tier)
	if len(all) == 0 {
		return
	}
	last := all[len(all)-1]
	if !last.Resolved && w.disturbed(e.closed.Add(-lateness), e.closed.Add(lateness)) == 0 {
		w.t.Errorf("tier %d of %s never heard of the end", tier, name)
	}
}

// gossip is how long it takes until all members know what one has sent. After a
// restart a member may send at the same time as another: Alertmanager promises
// that everybody is told at least once, and not that it is only once.
const gossip = time.Second

// restarted reports whether a member of Alertmanager was killed before.
func (w *world) restarted(before time.Time) bool {
	return slices.ContainsFunc(w.disturbances, func(d disturbance) bool {
		return strings.HasPrefix(d.what, "Alertmanager") && w.began.Add(d.from).Before(before)
	})
}

// once asserts that nobody is told the same twice, but for the repetition that
// was asked for.
func (w *world) once(name string, tier int) {
	w.t.Helper()
	repeat := []time.Duration{time.Hour, 30 * time.Minute, 15 * time.Minute}[tier-1]
	var last Notice
	for _, n := range w.notices(name, tier) {
		same := !last.At.IsZero() && last.Resolved == n.Resolved
		crossed := n.At.Sub(last.At) < gossip && w.restarted(n.At)
		if same && !crossed && n.At.Sub(last.At) < repeat-2*time.Minute && w.disturbed(last.At, n.At) == 0 {
			w.t.Errorf("told twice: %s, and %s", last, n)
		}
		last = n
	}
}
