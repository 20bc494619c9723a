package probes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/host"
)

// A disturbance is what stands between a probe and its collector.
type disturbance struct {
	mu      sync.Mutex
	mode    string // "" lets the probe work
	object  string // of the fault
	release chan struct{}
}

func (d *disturbance) set(mode string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.release != nil {
		close(d.release)
		d.release = nil
	}
	if d.mode = mode; mode == "hang" {
		d.release = make(chan struct{})
	}
}

// disturbed is a probe in whose way something can be put.
type disturbed struct {
	probes.Probe
	*disturbance
}

func (p disturbed) Run(ctx context.Context) (probes.Result, error) {
	p.mu.Lock()
	mode, release := p.mode, p.release
	p.mu.Unlock()
	switch mode {
	case "error":
		return probes.Result{}, errors.New("nothing can be said")
	case "panic":
		panic("a bug in the probe")
	case "hang":
		<-release // whatever ctx says
	case "fault":
		var r probes.Result
		r.Fault(p.object, errors.New("cannot be read just now"))
		return r, nil
	case "silence":
		return probes.Result{}, nil // says nothing of its object
	}
	return p.Probe.Run(ctx)
}

// A rig is an agent without a process: collector, rules, ledger and monitor on
// one state directory. It can be stopped and started as often as a test likes.
type rig struct {
	t       *testing.T
	shape   shape
	options host.Options
	disturb *disturbance
	shift   time.Duration // of the clock of the agent

	stop    context.CancelFunc
	stopped sync.WaitGroup
	hosts   *host.Hosts
	ledger  *ledger.Ledger
	monitor *monitor.Monitor
	collect *collector.Collector
}

const (
	runEvery = 10 * time.Second
	maxAge   = 3 * runEvery
)

func newRig(t *testing.T, s shape) *rig {
	r := &rig{t: t, shape: s, disturb: &disturbance{object: s.object}}
	r.options = host.Options{StateDir: t.TempDir(), Specs: s.specs(), Log: slog.New(slog.DiscardHandler)}
	return r
}

// rules returns the rules of the shape in a form that works, or one that fails
// at every evaluation.
func (r *rig) rules(broken bool) *detect.Rules {
	r.t.Helper()
	expr := r.shape.rule
	if broken {
		// Many series on the side that may have one: an error of every evaluation.
		metric := r.shape.specs()[len(r.shape.specs())-1].Metrics[0].Name
		expr = metric + ` == on (instance, object) label_replace(hygiene_probe_faulted_objects, "object", "` + r.shape.object + `", "name", ".*")`
	}
	metrics := collector.AgentMetrics()
	for _, spec := range r.shape.specs() {
		metrics = append(metrics, spec.Metrics...)
	}
	rules, err := detect.Load([]detect.File{{Name: "shape.yml", Data: fmt.Appendf(nil, `
groups:
- name: shape
  rules:
  - alert: HygieneShapeBroken
    expr: %q
    labels: {probe: %s, check: broken, severity: critical}
    annotations: {summary: '{{ $labels.object }} is broken', description: d, impact: i, action: a}
`, expr, r.shape.name)}}, metrics)
	if err != nil {
		r.t.Fatal(err)
	}
	return rules
}

func (r *rig) config(broken bool) monitor.Config {
	p, err := policy.New(policy.Default(), nil, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return monitor.Config{Rules: r.rules(broken), Policy: p, Interval: 30 * time.Second, PerCheck: 100}
}

func (r *rig) entries() []collector.Entry {
	var entries []collector.Entry
	for _, spec := range r.shape.specs() {
		config := spec.Config()
		probe, err := config.New(r.hosts.For(spec.Name))
		if err != nil {
			r.t.Fatal(err)
		}
		if spec.Name == r.shape.name {
			probe = disturbed{probe, r.disturb}
		}
		entries = append(entries, collector.Entry{Spec: spec, Settings: *config.Common(), Probe: probe})
	}
	return entries
}

// start starts the agent from what is on disk.
func (r *rig) start() {
	var err error
	if r.hosts, err = host.New(r.options); err != nil {
		r.t.Fatal(err)
	}
	if r.ledger, err = ledger.Open(ledger.Options{State: r.hosts.State("ledger")}); err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	r.collect = collector.New(collector.Options{Log: log, OnRun: func(probe string) { r.monitor.Ran(probe) }})
	r.monitor = monitor.New(monitor.Options{Snapshot: r.snapshot, Ledger: r.ledger, Log: log}, r.config(false))
	r.collect.Replace(r.entries())
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.stopped.Go(func() { r.collect.Run(ctx) })
	r.stopped.Go(func() { r.monitor.Run(ctx) })
}

// snapshot is what the monitor sees: through a clock that may have stepped.
func (r *rig) snapshot() *collector.Snapshot {
	s := *r.collect.Snapshot()
	s.At = s.At.Add(r.shift)
	return &s
}

// restart ends the agent and starts another one.
func (r *rig) restart() {
	r.end()
	r.start()
}

func (r *rig) end() {
	r.stop()
	r.stopped.Wait()
}

// reload replaces everything that a reload of the configuration replaces.
func (r *rig) reload(brokenRules bool) {
	r.collect.Replace(r.entries())
	r.monitor.Reconfigure(context.Background(), r.config(brokenRules))
}

// wait lets virtual time pass.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// open returns the only open problem; the zero problem when there is none.
func (r *rig) open() monitor.Problem {
	r.t.Helper()
	problems := r.monitor.Problems(context.Background())
	switch len(problems) {
	case 0:
		return monitor.Problem{}
	case 1:
		return problems[0]
	}
	r.t.Fatalf("%d open problems: %+v", len(problems), problems)
	return monitor.Problem{}
}
