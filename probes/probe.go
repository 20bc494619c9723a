// Package probes defines the contract between one inspection of a host and the
// collector that schedules it. A probe learns facts; it knows nothing of
// severity, of alerts or of Prometheus.
package probes

import (
	"context"
	"errors"
	"time"
)

// A Probe inspects one aspect of the host.
//
// Run is called again and again, by one goroutine at a time, and must return
// soon after ctx is done. What it could not look at is a fault in the Result,
// not an error: an error means that the run as a whole told nothing, and the
// facts of the last good run stay in force until they are too old. A host that
// has nothing of the kind is ErrNotApplicable.
type Probe interface {
	Run(ctx context.Context) (Result, error)
}

// An Explainer is a Probe that can show the evidence behind one object, for a
// person who asks "why". The text is plain, ends with a newline, and holds no
// secret.
type Explainer interface {
	Explain(ctx context.Context, object string) (string, error)
}

// A Namer is an Explainer that can speak of more than objects, such as of one
// package among those of a package manager. Names lists what else it knows
// after a run, sorted.
type Namer interface {
	Names() []string
}

// A Baseliner is a Probe that remembers what there should be and cannot tell by
// itself whether less was meant. Its methods may be called while Run runs.
type Baseliner interface {
	// Baseline lists what is remembered, sorted by object.
	Baseline() ([]Remembered, error)
	// Accept takes what is there now for what there should be, and an object
	// that is not there for one that was removed. It returns what is remembered
	// from then on.
	Accept(object string) (Remembered, error)
}

// A Remembered is one object of a baseline.
type Remembered struct {
	Object   string    `json:"object"`
	Since    time.Time `json:"since"`             // when it was first seen
	Expected int       `json:"expected"`          // members that there should be
	Present  int       `json:"present"`           // members that there are, working or not
	Spares   int       `json:"spares,omitempty"`  // that there should be
	State    string    `json:"state"`             // in the last run, in the words of the probe
	Missing  []string  `json:"missing,omitempty"` // names of members that are not there
	Removed  bool      `json:"removed,omitempty"` // given up
}

// A Stopper is a Probe that works between its runs. Stop is called once, when
// the probe will not be run any more, and returns when all work has ended, which
// must be soon.
type Stopper interface {
	Stop()
}

// ErrNotApplicable is returned by Run when the host has nothing to inspect. It
// differs from a fault ("could not look") and from an empty Result.
var ErrNotApplicable = errors.New("not applicable to this host")

// HostObject is the object of facts that concern the host as a whole.
const HostObject = "host"
