package collector

import (
	"time"

	"hygiene_exporter/probes"
)

// An Outcome says how the last finished run of a probe ended.
type Outcome uint8

// The outcomes. The zero value is a probe that has not finished a run yet.
const (
	NotRun        Outcome = iota
	Succeeded             // facts and faults are those of this run
	NotApplicable         // the host has nothing of the kind
	Failed                // an error, a timeout or a panic; the last good facts are kept
	Disabled              // switched off by the configuration
)

// String returns the outcome in words.
func (o Outcome) String() string {
	return [...]string{"not run", "succeeded", "not applicable", "failed", "disabled"}[o]
}

// A Snapshot is what is known about the host at one instant. It is immutable.
type Snapshot struct {
	// At is the instant of the snapshot, cut to the millisecond: rules are
	// evaluated at exactly this time.
	At time.Time
	// Reports holds one report for each probe of the configuration, enabled or
	// not, by name; and that of the agent itself under AgentProbe.
	Reports map[string]*Report
}

// AgentProbe is the name under which the collector reports on itself.
const AgentProbe = "agent"

// A Report is the last word of one probe. It is immutable.
type Report struct {
	Probe   string
	Outcome Outcome
	// Err says why the last finished run failed; it is nil after any other.
	Err error
	// Run counts the finished runs since the agent started; a failed run and
	// an abandoned one count too.
	Run uint64
	// Changed is the number of the run that last changed the outcome, the
	// samples or the faults.
	Changed uint64
	// LastRun is the end of the last finished run, and LastSuccess that of the
	// last one that did not fail. Both are zero when there was none.
	LastRun     time.Time
	LastSuccess time.Time
	// Duration is how long the last finished run took; of a run that hangs,
	// how long it has been hanging.
	Duration time.Duration
	// Samples holds the facts in force: those of the last good run, and those
	// that faulted objects keep from earlier ones. All are declared, valid and
	// unique, and sorted by metric name and labels.
	Samples []probes.Sample
	// Faults are those of the last good run, by object and reason, each with
	// the time since which it has been so.
	Faults []Fault

	observed map[string]bool // objects that the last good run saw without a fault
	gone     map[string]bool // objects that the last good run reported removed
	memory   memory
}

// A Fault is a fault of a probe with the time of the first run in a row that
// had it.
type Fault struct {
	probes.Fault
	Since time.Time
}

// An Evidence says what the last run of a probe knows of an object.
type Evidence uint8

// The evidence. Only Observed and Gone can end a problem.
const (
	Unknown  Evidence = iota // not run, failed, faulted, or not mentioned
	Observed                 // seen without a fault by the last run, which succeeded
	Gone                     // deliberately removed
)

// Evidence says what is known of an object of a probe, and the number of the
// run that knows it. A probe that is disabled or not part of the configuration
// no longer says anything: its objects are gone. On a host to which a probe is
// not applicable, nothing of the kind can be broken: its objects are observed.
//
// The objects of the agent's own report are, in this order:
//   - the name of a probe. Whether a probe works is known from its first
//     finished run on, however that ended; a disabled probe is gone.
//   - an object of the agent's own facts, which is always known.
//   - the host, or anything else: something that a probe could not inspect. Its
//     name does not say which probe that was. It is observed once no probe has
//     a fault of it, and every enabled probe that may be the one has looked: all
//     have had a run that did not fail, and the last run of those that know the
//     object did not. Every probe knows the host, so that there the first
//     condition must do.
func (s *Snapshot) Evidence(probe, object string) (Evidence, uint64) {
	report := s.Reports[probe]
	if report == nil {
		return Gone, 0
	}
	if probe == AgentProbe {
		return s.agentEvidence(report, object)
	}
	switch report.Outcome {
	case Disabled:
		return Gone, report.Run
	case NotApplicable:
		return Observed, report.Run
	case Succeeded:
		if report.gone[object] {
			return Gone, report.Run
		}
		if report.observed[object] {
			return Observed, report.Run
		}
	}
	return Unknown, report.Run
}

func (s *Snapshot) agentEvidence(agent *Report, object string) (Evidence, uint64) {
	if report := s.Reports[object]; report != nil {
		switch report.Outcome {
		case NotRun:
			return Unknown, report.Run
		case Disabled:
			return Gone, report.Run
		}
		return Observed, report.Run
	}
	if object != probes.HostObject && agent.observed[object] {
		return Observed, agent.Run
	}
	// The sum moves with each of the probes, and a scrape does not move it.
	var runs uint64
	evidence := Observed
	for name, report := range s.Reports {
		if name == AgentProbe {
			continue
		}
		runs += report.Run
		if report.mayHide(object) {
			evidence = Unknown
		}
	}
	if object == probes.HostObject {
		runs = agent.Run // the agent's own facts are about the host, too
	}
	return evidence, runs
}

// mayHide reports whether the probe may be unable to inspect the object, as far
// as its last runs tell.
func (r *Report) mayHide(object string) bool {
	switch r.Outcome {
	case NotRun:
		return true
	case Failed:
		knows := object != probes.HostObject && (r.observed[object] || r.gone[object])
		return !r.memory.known || knows || r.faulted(object)
	}
	return r.faulted(object)
}
