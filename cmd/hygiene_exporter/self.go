package main

import (
	"sync"
	"time"

	"hygiene_exporter/alerts/send"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/host"
)

// Facts about the agent itself that only the wiring knows.
var (
	reloadSuccessful = &probes.Metric{
		Name: "hygiene_config_last_reload_successful",
		Help: "Whether the last attempt to load the configuration succeeded; the last good one stays in force.",
	}
	reloadSuccessTime = &probes.Metric{
		Name: "hygiene_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration in force was loaded.",
	}
	clockInSync = &probes.Metric{
		Name: "hygiene_agent_clock_synchronised",
		Help: "Whether the kernel says that its clock is disciplined, from adjtimex(2).",
	}
	sendsAlerts = &probes.Metric{
		Name: "hygiene_agent_sends_alerts",
		Help: "Whether the agent itself tells Alertmanager of its problems, so that the escalation rules leave them to it.",
	}
	stateWriteSuccessful = &probes.Metric{
		Name: "hygiene_state_last_write_successful",
		Help: "Whether what the agent remembers is on disk: 0 while the last write of some state file failed.",
	}
	stateWriteFailures = &probes.Metric{
		Name: "hygiene_state_write_failures_total",
		Help: "Writes to the state directory that failed since the agent started.",
		Kind: probes.Counter,
	}
	alertsSent = &probes.Metric{
		Name: "hygiene_alerts_sent_total", Kind: probes.Counter, Labels: []string{"alertmanager"},
		Help: "Alerts that an Alertmanager took from the agent itself, since the agent started.",
	}
	alertsFailed = &probes.Metric{
		Name: "hygiene_alerts_send_failures_total", Kind: probes.Counter, Labels: []string{"alertmanager"},
		Help: "Attempts of the agent itself to tell an Alertmanager that failed and are made again, since the agent started.",
	}
)

func selfMetrics() []*probes.Metric {
	return []*probes.Metric{reloadSuccessful, reloadSuccessTime, clockInSync, sendsAlerts, stateWriteSuccessful, stateWriteFailures, alertsSent, alertsFailed}
}

// agentMetrics lists everything that the agent says about itself and rules may
// use.
func agentMetrics() []*probes.Metric {
	return append(collector.AgentMetrics(), selfMetrics()...)
}

// self collects what selfMetrics declares.
type self struct {
	hosts   *host.Hosts
	sending func() []send.Status

	mu     sync.Mutex
	loaded time.Time // of the configuration in force
	failed bool      // the last attempt to load another
	sends  bool      // the agent tells Alertmanager itself
}

// loadedConfig records that a configuration is in force from now on.
func (s *self) loadedConfig(at time.Time, sends bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.failed, s.sends = at, false, sends
}

// refusedConfig records that a configuration could not be loaded.
func (s *self) refusedConfig() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
}

func (s *self) samples() []probes.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	var r probes.Result
	r.Add(reloadSuccessful, boolean(!s.failed))
	r.AddTime(reloadSuccessTime, s.loaded)
	r.Add(clockInSync, boolean(clockSynchronised()))
	r.Add(sendsAlerts, boolean(s.sends))
	r.Add(stateWriteSuccessful, boolean(!s.hosts.WriteFailing()))
	r.Add(stateWriteFailures, float64(s.hosts.WriteFailures()))
	for _, s := range s.sending() {
		r.Add(alertsSent, float64(s.Sent), s.URL)
		r.Add(alertsFailed, float64(s.Errors), s.URL)
	}
	return r.Samples
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
