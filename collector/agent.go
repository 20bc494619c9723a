package collector

import (
	"runtime"
	"time"

	"github.com/prometheus/common/version"

	"hygiene_exporter/probes"
)

// What the collector says of itself and of the probes. The label name is that
// of a probe.
var (
	buildInfo = &probes.Metric{
		Name:   "hygiene_build_info",
		Help:   "The build of the agent; the value is 1.",
		Labels: []string{"version", "revision", "goversion"},
	}
	agentTime = &probes.Metric{
		Name: "hygiene_agent_time_seconds",
		Help: "The clock of the agent's host at the scrape.",
	}
	probeSuccess = &probes.Metric{
		Name:   "hygiene_probe_success",
		Help:   "Whether the last finished run of the probe did not fail; absent before the first one.",
		Labels: []string{"name"},
	}
	probeApplicable = &probes.Metric{
		Name:   "hygiene_probe_applicable",
		Help:   "Whether the host has anything for the probe to inspect, by its last run that did not fail.",
		Labels: []string{"name"},
	}
	probeDuration = &probes.Metric{
		Name:   "hygiene_probe_duration_seconds",
		Help:   "How long the last run of the probe took, or has been hanging.",
		Labels: []string{"name"},
	}
	probeInterval = &probes.Metric{
		Name:   "hygiene_probe_interval_seconds",
		Help:   "Time between the starts of two runs of the probe, from the configuration.",
		Labels: []string{"name"},
	}
	probeLastRun = &probes.Metric{
		Name:   "hygiene_probe_last_run_timestamp_seconds",
		Help:   "When the last run of the probe ended or was given up.",
		Labels: []string{"name"},
	}
	probeLastSuccess = &probes.Metric{
		Name:   "hygiene_probe_last_success_timestamp_seconds",
		Help:   "When the last run of the probe that did not fail ended.",
		Labels: []string{"name"},
	}
	probeDue = &probes.Metric{
		Name:   "hygiene_probe_due_timestamp_seconds",
		Help:   "When the probe is overdue: three intervals and a timeout after its last success, or after the start of the agent.",
		Labels: []string{"name"},
	}
	probeFaulted = &probes.Metric{
		Name:   "hygiene_probe_faulted_objects",
		Help:   "Objects that the last good run of the probe should have inspected and could not, by reason.",
		Labels: []string{"name", "reason"},
		Values: map[string][]string{"reason": reasons()},
	}
	probeFaultSince = &probes.Metric{
		Name:   "hygiene_probe_fault_since_timestamp_seconds",
		Help:   "Since when the probe has not been able to inspect the object; the 50 oldest faults of each probe.",
		Labels: []string{"name", "object", "reason"},
		Values: map[string][]string{"reason": reasons()},
	}
	probePanics = &probes.Metric{
		Name:   "hygiene_probe_panics_total",
		Help:   "Runs of the probe that panicked since the start of the agent.",
		Kind:   probes.Counter,
		Labels: []string{"name"},
	}
	probeHung = &probes.Metric{
		Name:   "hygiene_probe_hung_runs_total",
		Help:   "Runs of the probe that were given up because it did not return, or not started because of an earlier one.",
		Kind:   probes.Counter,
		Labels: []string{"name"},
	}
	seriesTruncated = &probes.Metric{
		Name:   "hygiene_series_truncated",
		Help:   "Whether series of the probe, or its oldest faults, are left out of the exposition because there are too many; rules see all facts.",
		Labels: []string{"name"},
	}
)

// shownFaults bounds the series of hygiene_probe_fault_since_timestamp_seconds
// for each probe.
const shownFaults = 50

// AgentMetrics returns the metrics of the report of the agent that the
// collector itself makes.
func AgentMetrics() []*probes.Metric {
	return []*probes.Metric{
		buildInfo, agentTime,
		probeSuccess, probeApplicable, probeDuration, probeInterval,
		probeLastRun, probeLastSuccess, probeDue,
		probeFaulted, probeFaultSince, probePanics, probeHung, seriesTruncated,
	}
}

func reasons() []string {
	var all []string
	for _, reason := range probes.Reasons() {
		all = append(all, string(reason))
	}
	return all
}

// agentReport returns the report of the agent. Each is a run of its own, which
// observes all that the agent knows of itself.
func (c *Collector) agentReport(p *publication, at time.Time) *Report {
	var r probes.Result
	r.Add(buildInfo, 1, version.Version, version.GetRevision(), runtime.Version())
	r.AddTime(agentTime, at)
	for _, w := range p.generation.workers {
		if w.enabled() {
			w.describe(&r, p)
		}
	}
	observed := map[string]bool{probes.HostObject: true}
	if c.options.Self != nil {
		for _, sample := range c.options.Self() {
			r.Samples = append(r.Samples, sample)
			if sample.Metric != nil {
				observed[identity(sample.Object())] = true
			}
		}
	}
	d := c.self.digest(r, "")
	run := c.snapshots.Add(1)
	report := &Report{
		Probe: AgentProbe, Outcome: Succeeded, Run: run, Changed: run,
		LastRun: at, LastSuccess: at, Samples: d.samples, observed: observed,
	}
	for _, fault := range d.faults {
		report.Faults = append(report.Faults, Fault{Fault: fault, Since: at})
		delete(observed, fault.Object)
	}
	return report
}

// describe adds what the agent knows of one enabled probe. What is not known
// before the first run is absent; counts start at 0.
func (w *worker) describe(r *probes.Result, p *publication) {
	report := p.reports[w.name]
	settings := w.entry.Settings
	interval, timeout := time.Duration(settings.Interval), time.Duration(settings.Timeout)
	alive := w.since
	if !report.LastSuccess.IsZero() {
		alive = report.LastSuccess
	}
	r.Add(probeInterval, interval.Seconds(), w.name)
	r.AddTime(probeDue, alive.Add(3*interval+timeout), w.name)
	r.Add(probePanics, float64(w.track.panics.Load()), w.name)
	r.Add(probeHung, float64(w.track.hung.Load()), w.name)
	if report.Outcome != NotRun {
		r.Add(probeSuccess, number(report.Outcome != Failed), w.name)
		r.Add(probeDuration, report.Duration.Seconds(), w.name)
	}
	if report.memory.known {
		r.Add(probeApplicable, number(report.memory.applicable), w.name)
	}
	r.AddTime(probeLastRun, report.LastRun, w.name)
	r.AddTime(probeLastSuccess, report.LastSuccess, w.name)
	for _, reason := range probes.Reasons() {
		r.Add(probeFaulted, float64(report.memory.reasons[reason]), w.name, string(reason))
	}
	for _, fault := range report.memory.oldest {
		r.AddTime(probeFaultSince, fault.Since, w.name, fault.Object, string(fault.Reason))
	}
	exposed := p.exposed[w.name]
	r.Add(seriesTruncated, number(exposed.truncated || len(report.Faults) > shownFaults), w.name)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
