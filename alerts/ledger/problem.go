package ledger

import (
	"cmp"
	"slices"
	"time"
)

// A Problem is something that is wrong with an object, from its opening until
// there is evidence that it is over.
type Problem struct {
	Key
	// Episode names this occurrence: eight characters, drawn at random. A
	// problem that comes back after closing has another one.
	Episode string `json:"episode"`
	// Owner is who was responsible when the problem opened.
	Owner string `json:"owner,omitempty"`
	// Rule and Summary are those of the last finding.
	Rule    string `json:"rule"`
	Summary string `json:"summary"`
	// Since is the instant of the facts that opened the problem. It never moves.
	Since time.Time `json:"since"`
	// Deadlines holds the instant at which each tier is told. One that has
	// passed never moves.
	Deadlines []time.Time `json:"deadlines,omitempty"`
	// Held says that there is no fresh evidence: what is shown is the last word.
	Held bool `json:"held"`
	// HeldReason is why; empty when the problem is not held.
	HeldReason Reason `json:"held_reason,omitempty"`
	// Ack is who took the problem; nil when nobody has.
	Ack *Ack `json:"ack,omitempty"`
}

// An Ack is somebody's word that a problem is taken care of, until it expires.
type Ack struct {
	By   string `json:"by"`
	Note string `json:"note,omitempty"`
	// UID is the user who spoke for By, as the kernel says.
	UID     uint32    `json:"uid"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
}

// A Reason says why a problem is held or was closed. The set is closed.
type Reason string

// The reasons to hold a problem, and those to close one.
const (
	AgentStarted Reason = "agent_started" // restored, and not looked at yet
	NotObserved  Reason = "not_observed"  // the object could not be looked at, or not yet again
	RuleFailed   Reason = "rule_failed"   // the rule was not evaluated

	Resolved      Reason = "resolved"       // the rule is silent and the object was observed
	ObjectRemoved Reason = "object_removed" // the object was deliberately removed
	RuleRemoved   Reason = "rule_removed"   // no rule covers the problem any more
)

// A Kind says what happened to a problem.
type Kind string

// The kinds of change.
const (
	Opened     Kind = "opened"
	Closed     Kind = "closed"
	Held       Kind = "held"
	Released   Kind = "released" // no longer held
	Acked      Kind = "acked"
	Unacked    Kind = "unacked"
	AckExpired Kind = "ack_expired"
)

// A Change is an entry of the audit log.
type Change struct {
	Kind Kind
	// Problem is as it was after the change, or before it closed or lost its
	// acknowledgement.
	Problem Problem
	Reason  Reason // of Held and Closed
	By      string // who took an acknowledgement back
	UID     uint32 // the user who spoke for By
}

// clone makes a copy that shares nothing with the ledger.
func (p Problem) clone() Problem {
	p.Deadlines = slices.Clone(p.Deadlines)
	if p.Ack != nil {
		ack := *p.Ack
		p.Ack = &ack
	}
	return p
}

// String names the key as selectors do, with the severity behind.
func (k Key) String() string {
	return k.Probe + "/" + k.Check + "/" + k.Object + " (" + k.Severity + ")"
}

func compareKeys(a, b Key) int {
	return cmp.Or(
		cmp.Compare(a.Probe, b.Probe),
		cmp.Compare(a.Check, b.Check),
		cmp.Compare(a.Object, b.Object),
		cmp.Compare(a.Severity, b.Severity),
	)
}
