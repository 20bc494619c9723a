package ledger

import (
	"slices"
	"time"
)

// maxPast is how many problems are remembered that are over.
const maxPast = 200

// A Past is a problem that is over.
type Past struct {
	Problem
	Closed time.Time `json:"closed"`
	Reason Reason    `json:"reason"`
	// TakenBy is who took the problem last; empty when nobody did.
	TakenBy string `json:"taken_by,omitempty"`
}

// History returns the problems that closed last, the latest first.
func (l *Ledger) History() []Past {
	l.mu.Lock()
	defer l.mu.Unlock()
	past := slices.Clone(l.past)
	slices.Reverse(past)
	return past
}

// remember adds a problem that is over, and forgets the oldest.
func (l *Ledger) remember(p Past) {
	p.Ack = nil
	l.past = append(l.past, p)
	if extra := len(l.past) - maxPast; extra > 0 {
		l.past = slices.Clone(l.past[extra:])
	}
}
