// Package drill knows when what is needed in an emergency was last exercised: a
// failover, a restore, a procedure of the site. A drill counts when a person
// attests it, when another probe saw it happen, or when its command was run by
// hand. The probe itself never runs one. Every drill is due from the moment it
// is configured, so that one that never took place is noticed too.
package drill

import "hygiene_exporter/probes"

// number declares a metric with a value for each drill.
func number(name, help string) *probes.Metric {
	return &probes.Metric{
		Name: "hygiene_drill_" + name, Help: help,
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
}

var (
	lastSuccess  = number("last_success_timestamp_seconds", "When the drill last began that was passed, by the evidence.")
	lastAttempt  = number("last_attempt_timestamp_seconds", "When the drill last began, whatever came of it.")
	deadline     = number("deadline_timestamp_seconds", "When the drill must have been passed again; without a success, counted from when it was configured.")
	interval     = number("interval_seconds", "How often the drill must be passed, from the configuration.")
	lastDuration = number("last_duration_seconds", "How long the last drill took that ended and was timed, until everything worked again.")
	objective    = number("objective_seconds", "How long the drill may take, from the configuration.")
	recovered    = number("recovered", "Whether everything worked again after the last drill of which that is known.")
	lastResult   = &probes.Metric{
		Name:   "hygiene_drill_last_result",
		Help:   "What came of the last drill that proved something: 1 for the result in force.",
		Labels: []string{probes.LabelObject, "result", probes.LabelOwner},
		Values: map[string][]string{"result": {string(Passed), string(Failed)}},
	}
)

// Spec describes the probe.
func Spec() probes.Spec {
	return probes.Spec{
		Name:    "drill",
		Summary: "Drills: when failovers, restores and procedures were last exercised, and by when they must be again.",
		Metrics: []*probes.Metric{lastSuccess, lastAttempt, deadline, lastResult, interval, lastDuration, objective, recovered},
		Config:  func() probes.Config { return defaultConfig() },
	}
}
