package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/version"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/alerts/send"
	"hygiene_exporter/collector"
	"hygiene_exporter/config"
	"hygiene_exporter/dashboards/web"
	"hygiene_exporter/multitarget"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate"
	"hygiene_exporter/probes/host"
)

// An agent is everything that runs between start and stop.
type agent struct {
	environment *environment
	log         *slog.Logger
	hosts       *host.Hosts
	collector   *collector.Collector
	monitor     *monitor.Monitor
	self        *self
	links       atomic.Pointer[config.Links]
	outbox      outbox
	remote      atomic.Pointer[certificate.Remote] // nil while nothing may be asked of targets elsewhere
	entries     atomic.Pointer[[]collector.Entry]

	reloading sync.Mutex
	notices   []string // that do not change while the agent runs
}

// newAgent builds an agent and starts nothing. Any mistake in the
// configuration is an error here; a state that cannot be used is not, it is
// said and counted.
func newAgent(e *environment, log *slog.Logger) (*agent, error) {
	c, err := e.loadConfig()
	if err != nil {
		return nil, err
	}
	mc, err := monitorConfig(c)
	if err != nil {
		return nil, c.Locate(err)
	}
	stateDir := e.stateDir()
	hosts, err := e.hosts(c, stateDir, probes.Scheduled, log)
	if err != nil {
		return nil, err
	}
	list, err := entries(c, hosts)
	if err != nil {
		return nil, c.Locate(err)
	}
	a := &agent{environment: e, log: log, hosts: hosts, self: &self{hosts: hosts}}
	a.self.sending = a.outbox.status
	a.openLedger(c, mc)
	sender, err := a.newSender(c)
	if err != nil {
		return nil, c.Locate(err)
	}
	a.inForce(c, sender)
	a.keep(list)
	a.collector.Replace(list)
	return a, nil
}

// openLedger restores the open problems and puts collector and monitor around
// them.
func (a *agent) openLedger(c *config.Config, mc monitor.Config) {
	now := time.Now()
	boot, grace := bootTime(now), time.Duration(c.Escalation.StartupGrace)
	book, err := ledger.Open(ledger.Options{
		State:        a.hosts.State("ledger"),
		CloseAfter:   time.Duration(c.Alerts.CloseAfter),
		Deadlines:    monitor.Deadlines(mc.Policy),
		Boot:         boot,
		StartupGrace: grace,
		// A clock that nobody disciplines delays problems after boot, when
		// it may be about to step. It must not silence the host for ever.
		Synchronised: func() bool { return clockSynchronised() || time.Since(boot) > grace },
		Built:        builtAt(),
	})
	if err != nil {
		a.log.Error("some problems of earlier could not be restored", "err", err)
		a.notices = append(a.notices, "Some problems of earlier could not be restored: "+err.Error())
	}
	for _, notice := range a.hosts.Notices() {
		a.log.Warn("state", "notice", notice)
	}
	a.collector = collector.New(collector.Options{
		Log:         a.log,
		SeriesLimit: c.Limits.Series,
		Self:        a.self.samples,
		SelfMetrics: selfMetrics(),
		OnRun:       func(probe string) { a.monitor.Ran(probe) },
		Priority:    func(probe, object string) int { return a.monitor.Priority(probe, object) },
	})
	a.monitor = monitor.New(monitor.Options{Snapshot: a.collector.Snapshot, Ledger: book, Log: a.log}, mc)
}

// reload puts the configuration file in force as a whole, or keeps the running
// one and says why.
func (a *agent) reload(ctx context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	c, err := a.environment.loadConfig()
	if err != nil {
		return a.refuse(err)
	}
	mc, err := monitorConfig(c)
	if err != nil {
		return a.refuse(c.Locate(err))
	}
	list, err := entries(c, a.hosts)
	if err != nil {
		return a.refuse(c.Locate(err))
	}
	sender, err := a.newSender(c)
	if err == nil {
		err = a.hosts.Wrap(c.Commands)
	}
	if err != nil {
		return a.refuse(c.Locate(err))
	}
	a.inForce(c, sender)
	a.keep(list)
	a.collector.Replace(list)
	a.monitor.Reconfigure(ctx, mc)
	a.log.Info("configuration reloaded")
	return nil
}

// inForce records what a configuration changes outside of probes and rules.
func (a *agent) inForce(c *config.Config, sender *send.Sender) {
	a.self.loadedConfig(time.Now(), sender != nil)
	a.links.Store(&c.Links)
	a.outbox.replace(sender)
	a.remote.Store(remote(c, a.hosts))
}

func (a *agent) refuse(err error) error {
	a.self.refusedConfig()
	a.log.Error("configuration not reloaded, the running one is kept", "err", err)
	return err
}

// handler serves HTTP.
func (a *agent) handler(loopbackOnly, lifecycle bool) http.Handler {
	name, err := os.Hostname()
	if err != nil {
		name = "this host"
	}
	options := web.Options{
		Metrics:      a.collector.Handler(a.monitor.Families, processFamilies()),
		Snapshot:     a.collector.Snapshot,
		Problems:     a.monitor.Problems,
		History:      a.monitor.History,
		Notices:      func() []string { return a.say(loopbackOnly) },
		Ready:        a.ready,
		Targets:      multitarget.New(a.remote.Load),
		Runbooks:     alerts.Runbooks(),
		Links:        func() web.Links { return web.Links(*a.links.Load()) },
		Host:         name,
		Version:      version.Version,
		LoopbackOnly: loopbackOnly,
	}
	if lifecycle {
		options.Reload = func() error { return a.reload(context.Background()) }
	}
	return web.New(options)
}

// ready reports whether every enabled probe has finished a run.
func (a *agent) ready() bool {
	for _, report := range a.collector.Snapshot().Reports {
		if report.Outcome == collector.NotRun {
			return false
		}
	}
	return true
}

// say returns what whoever runs the agent should know.
func (a *agent) say(loopbackOnly bool) []string {
	notices := append([]string(nil), a.notices...)
	for _, notice := range a.hosts.Notices() {
		notices = append(notices, capital(notice))
	}
	notices = append(notices, a.outbox.notices()...)
	if loopbackOnly {
		notices = append(notices, "Only this host can scrape the agent. To open it, start with\n"+openUp+".")
	}
	return notices
}

func capital(sentence string) string {
	if sentence == "" {
		return sentence
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}

var errNoProbe = errors.New("there is no probe of this name")
