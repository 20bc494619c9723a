package ledger

import "time"

// A Key is the identity of a problem while it lasts. Each severity of a check
// is a problem of its own.
type Key struct {
	Probe    string `json:"probe"`
	Check    string `json:"check"`
	Object   string `json:"object"`
	Severity string `json:"severity"`
}

// A Finding is one result of a detection rule: something is wrong with an
// object now.
type Finding struct {
	Key
	Owner   string        // who is told; frozen when the problem opens
	Rule    string        // the alert name
	Summary string        // identity only, no changing number
	For     time.Duration // how long the finding must last before it opens a problem
}

// An Evidence says whether an object was looked at.
type Evidence uint8

// The evidence. Only Observed and Gone can end a problem.
const (
	Unknown Evidence = iota
	Observed
	Gone
)

// A Round is one evaluation of rules.
type Round struct {
	// At is the instant of the facts that were evaluated.
	At time.Time
	// Findings holds what the evaluated rules found.
	Findings []Finding
	// Probe is the probe whose rules were evaluated; empty means all rules. The
	// problems of other probes are left alone.
	Probe string
	// Evaluated reports whether the rule of a key was evaluated in this round,
	// without an error. A key whose rule was not is held as it is.
	Evaluated func(key Key) bool
	// Removed reports whether no rule covers a key any more: its rule was
	// removed or disabled, or its risk was accepted. Its problem closes at
	// once. It may be nil. A key that has a finding is never removed.
	Removed func(key Key) bool
	// Evidence says what the probe knows of the object, and the number of the
	// probe's run that knows it.
	Evidence func(key Key) (Evidence, uint64)
}
