// Package probes defines the contract between one inspection of a host and the
// collector that schedules it. A probe learns facts; it knows nothing of
// severity, of alerts or of Prometheus.
package probes

import (
	"context"
	"errors"
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

// ErrNotApplicable is returned by Run when the host has nothing to inspect. It
// differs from a fault ("could not look") and from an empty Result.
var ErrNotApplicable = errors.New("not applicable to this host")

// HostObject is the object of facts that concern the host as a whole.
const HostObject = "host"
