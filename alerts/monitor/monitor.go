// Package monitor turns facts into problems for as long as the agent runs: it
// asks the detection rules what is wrong, lets the policy of the site say what
// that means here, keeps the answers in the ledger, and publishes the open
// problems as metrics.
package monitor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/collector"
)

// Options is what a monitor works on for its whole life.
type Options struct {
	Snapshot func() *collector.Snapshot
	Ledger   *ledger.Ledger
	Log      *slog.Logger
}

// Config is what the configuration file decides, and a reload replaces.
type Config struct {
	Rules    *detect.Rules
	Policy   *policy.Policy
	Interval time.Duration // between two evaluations of all rules
	PerCheck int           // open problems of one check that are exported
}

// A Monitor watches one host. Its methods are safe for concurrent use.
type Monitor struct {
	options Options
	config  atomic.Pointer[Config]
	tests   *tests

	ran   chan struct{} // something is in due
	dueMu sync.Mutex
	due   map[string]bool // probes that ran since their rules were last evaluated

	evaluating sync.Mutex // one evaluation at a time
	failing    map[string]string
	saving     sync.Mutex // guards unsaved
	unsaved    string     // why the last save failed

	publishing sync.Mutex // one publication at a time
	health     health
	published  atomic.Pointer[published]
}

// health is how the evaluation itself fares.
type health struct {
	lastAll  time.Time // when all rules were last evaluated
	failures uint64
}

// New returns a monitor that already publishes the problems that the ledger
// restored: a scrape must never see fewer of them than there are.
func New(o Options, c Config) *Monitor {
	m := &Monitor{
		options: o,
		tests:   newTests(),
		ran:     make(chan struct{}, 1),
		due:     map[string]bool{},
		failing: map[string]string{},
	}
	m.config.Store(&c)
	m.publish(time.Now())
	return m
}

// minPause is the shortest time between two evaluations.
const minPause = time.Second

// Ran tells the monitor that a probe has finished a run. It does not block.
func (m *Monitor) Ran(probe string) {
	m.dueMu.Lock()
	m.due[probe] = true
	m.dueMu.Unlock()
	select {
	case m.ran <- struct{}{}:
	default: // it is signalled already
	}
}

// Reconfigure puts another configuration in force and evaluates all rules.
func (m *Monitor) Reconfigure(ctx context.Context, c Config) {
	m.config.Store(&c)
	m.options.Ledger.Reschedule(time.Now(), Deadlines(c.Policy))
	m.evaluate(ctx, "")
}

// Deadlines adapts a policy to the ledger.
func Deadlines(p *policy.Policy) ledger.Deadlines {
	return func(key ledger.Key, owner string, since time.Time) []time.Time {
		return p.Deadlines(subject(key, owner), since)
	}
}

func subject(key ledger.Key, owner string) policy.Subject {
	return policy.Subject{Probe: key.Probe, Check: key.Check, Object: key.Object, Severity: key.Severity, Owner: owner}
}

// Run evaluates until ctx is done: the rules of a probe after each of its
// runs, at most once a second, and all rules at the configured interval.
func (m *Monitor) Run(ctx context.Context) {
	defer func() { _ = m.save(context.WithoutCancel(ctx)) }() // which logs its failure
	all := time.NewTimer(m.config.Load().Interval)
	defer all.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-all.C:
			m.evaluate(ctx, "")
			all.Reset(m.config.Load().Interval)
		case <-m.ran:
			for _, probe := range m.takeDue() {
				m.evaluate(ctx, probe)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(minPause):
			}
		}
	}
}

func (m *Monitor) takeDue() []string {
	m.dueMu.Lock()
	defer m.dueMu.Unlock()
	var names []string
	for name := range m.due {
		names = append(names, name)
	}
	clear(m.due)
	return names
}

// saveTime bounds how long a publication waits for the disk.
const saveTime = 2 * time.Second

// save writes the ledger if it has changed. Its failure is logged when it
// begins and when it ends; the next call tries again.
func (m *Monitor) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	err := m.options.Ledger.Save(ctx)
	m.saving.Lock()
	defer m.saving.Unlock()
	switch {
	case err != nil && m.unsaved != err.Error():
		m.unsaved = err.Error()
		m.options.Log.Error("open problems could not be saved and would be lost by a restart", "err", err)
	case err == nil && m.unsaved != "":
		m.unsaved = ""
		m.options.Log.Info("open problems are saved again")
	}
	return err
}

// evaluate asks the rules of one probe, or all of them, and tells the ledger.
func (m *Monitor) evaluate(ctx context.Context, probe string) {
	m.evaluating.Lock()
	defer m.evaluating.Unlock()
	config, snapshot := m.config.Load(), m.options.Snapshot()
	evaluation := config.Rules.Evaluate(ctx, snapshot, probe)
	if ctx.Err() != nil {
		return // what failed failed because the agent stops
	}
	j := judgement{config: config, snapshot: snapshot, evaluation: evaluation, probe: probe, tests: m.tests}
	m.logChanges(m.options.Ledger.Observe(j.round()))
	m.logErrors(evaluation)
	m.record(evaluation, probe == "")
	_ = m.changed(ctx) // which logs its failure
}

// record notes how the evaluation fared.
func (m *Monitor) record(evaluation *detect.Evaluation, all bool) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	m.health.failures += uint64(len(evaluation.Errors))
	if all {
		m.health.lastAll = evaluation.At
	}
}

// changed saves and then publishes the ledger, so that an episode that was
// exported is known to whoever comes after a crash. A disk that hangs or is
// full delays the publication and does not prevent it.
func (m *Monitor) changed(ctx context.Context) error {
	err := m.save(ctx)
	m.publish(time.Now())
	return err
}

// logErrors logs the failure of a rule when it begins, changes or ends.
func (m *Monitor) logErrors(evaluation *detect.Evaluation) {
	failing := map[string]string{}
	for _, failure := range evaluation.Errors {
		failing[failure.Rule] = failure.Err.Error()
		if m.failing[failure.Rule] != failure.Err.Error() {
			m.options.Log.Error("a rule fails and holds its problems", "rule", failure.Rule, "err", failure.Err)
		}
	}
	m.failing = failing
}

func (m *Monitor) logChanges(changes []ledger.Change) {
	for _, change := range changes {
		p := change.Problem
		m.options.Log.Info("problem changed", "change", change.Kind, "probe", p.Probe, "check", p.Check,
			"object", p.Object, "severity", p.Severity, "episode", p.Episode, "owner", p.Owner,
			"reason", change.Reason, "by", change.By, "uid", change.UID)
	}
}
