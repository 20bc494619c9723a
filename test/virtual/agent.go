package virtual

import (
	"context"
	"encoding/json"
	"time"

	dto "github.com/prometheus/client_model/go"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// An agent without any rule would rightly be told of. This one finds nothing.
const oneRule = `groups:
- name: rules
  rules:
  - alert: HygieneDisk
    expr: hygiene_disk_broken == 1
    labels: {probe: disk, check: broken, severity: critical}
    annotations: {summary: '{{ $labels.object }} is broken', description: d, impact: i, action: a}
`

var fact = &probes.Metric{Name: "hygiene_disk_broken", Help: "Whether a disk is broken.", Labels: []string{"object"}}

// An Agent is the part of the agent behind the probes, with test problems in
// place of findings.
type Agent struct {
	config monitor.Config
	state  state
	faults map[string]fault // what is wrong, by object

	monitor *monitor.Monitor // nil while it is down
	cancel  context.CancelFunc
}

// A fault is something that is wrong until an instant.
type fault struct {
	severity string
	until    time.Time
}

// state is a disk.
type state struct{ saved []byte }

func (s *state) Load(_ int, v any) (bool, error) {
	if s.saved == nil {
		return false, nil
	}
	return true, json.Unmarshal(s.saved, v)
}

func (s *state) Save(_ int, v any) (err error) {
	s.saved, err = json.Marshal(v)
	return err
}

// NewAgent returns an agent with this policy that is not started.
func NewAgent(e policy.Escalation, windows []policy.Maintenance) (*Agent, error) {
	p, err := policy.New(e, nil, windows)
	if err != nil {
		return nil, err
	}
	rules, err := detect.Load([]detect.File{{Name: "rules.yml", Data: []byte(oneRule)}}, []*probes.Metric{fact})
	if err != nil {
		return nil, err
	}
	return &Agent{config: monitor.Config{Rules: rules, Policy: p, Interval: 30 * time.Second, PerCheck: 200}, faults: map[string]fault{}}, nil
}

// Start starts the agent, or starts it again with what it saved.
func (a *Agent) Start(ctx context.Context) error {
	book, err := ledger.Open(ledger.Options{State: &a.state, Deadlines: monitor.Deadlines(a.config.Policy)})
	if err != nil {
		return err
	}
	snapshot := func() *collector.Snapshot { return &collector.Snapshot{At: time.Now()} }
	a.monitor = monitor.New(monitor.Options{Snapshot: snapshot, Ledger: book, Log: quiet()}, a.config)
	ctx, a.cancel = context.WithCancel(ctx)
	for object, f := range a.faults {
		if err := a.find(ctx, object, f); err != nil {
			return err
		}
	}
	go a.monitor.Run(ctx)
	return nil
}

// Break makes something wrong with an object for a while.
func (a *Agent) Break(ctx context.Context, object, severity string, lasts time.Duration) error {
	f := fault{severity, time.Now().Add(lasts)}
	a.faults[object] = f
	if a.monitor == nil {
		return nil // it is found when the agent starts
	}
	return a.find(ctx, object, f)
}

func (a *Agent) find(ctx context.Context, object string, f fault) error {
	left := time.Until(f.until)
	if left <= 0 {
		return nil
	}
	return a.monitor.Test(ctx, object, f.severity, "sre", left)
}

// Kill ends the agent.
func (a *Agent) Kill() {
	a.cancel()
	a.monitor = nil
}

// Scrape returns the exposition; nil while the agent does not answer.
func (a *Agent) Scrape() []*dto.MetricFamily {
	if a.monitor == nil {
		return nil
	}
	families, _ := a.monitor.Families()
	return families
}
