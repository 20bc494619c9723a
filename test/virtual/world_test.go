package virtual

import (
	"context"
	"slices"
	"strings"
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

// host is the address of the agent.
const host = "host1:10981"

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

// central is the configuration of Alertmanager. It has no message template:
// receivers only remember.
func central() ([]byte, error) {
	text, err := escalation.Alertmanager("policy.yml", []byte(centralPolicy))
	return []byte(strings.Replace(string(text), `templates: ["hygiene_exporter.tmpl"]`, "", 1)), err
}

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
	window       span          // of maintenance; zero: none
	skew         time.Duration // the most that a clock is wrong
	silences     map[string]span
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

// maintenance is a window of this span, as the configuration has it.
func (s span) maintenance() []policy.Maintenance {
	if s.to.IsZero() {
		return nil
	}
	return []policy.Maintenance{{Name: "work", Cron: s.from.UTC().Format("4 15 * * *"), Duration: duration(s.to.Sub(s.from))}}
}

// newWorld starts everything, with a window of maintenance or none.
func newWorld(t *testing.T, window span) *world {
	t.Helper()
	text, err := central()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, began: time.Now(), window: window, silences: map[string]span{}, episodes: map[string]*episode{}}
	if w.cluster, err = NewCluster(text, 3); err != nil {
		t.Fatal(err)
	}
	if w.agent, err = NewAgent(ladderPolicy(), window.maintenance()); err != nil {
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
			seen := Targets{host: exposition}
			if w.cut[i] {
				seen[host] = nil
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

// skewClocks makes the clocks of the replicas wrong.
func (w *world) skewClocks(by [2]time.Duration) {
	for i, p := range w.prometheus {
		p.Skew = by[i]
		w.skew = max(w.skew, by[i].Abs())
	}
}

// silence makes a silence of what is open, by the link of the message.
func (w *world) silence(lasts time.Duration) {
	now := time.Now()
	for name, e := range w.episodes {
		if !e.closed.IsZero() {
			continue
		}
		err := w.cluster.Silence(model.LabelSet{"instance": host, "episode": model.LabelValue(name)}, lasts)
		if err == nil {
			w.silences[name] = span{now, now.Add(lasts)}
		}
	}
}

// tell prints the story of a scenario.
func (w *world) tell() {
	for _, d := range w.disturbances {
		w.t.Logf("%s from %s to %s", d.what, w.began.Add(d.from).Format("15:04:05"), w.began.Add(d.to).Format("15:04:05"))
	}
	w.t.Logf("clocks are wrong by %s and %s", w.prometheus[0].Skew, w.prometheus[1].Skew)
	if !w.window.to.IsZero() {
		w.t.Logf("maintenance from %s to %s", w.window.from.Format("15:04:05"), w.window.to.Format("15:04:05"))
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
