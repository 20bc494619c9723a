// Package ledger remembers which problems are open. A problem opens when a
// finding has lasted long enough, and closes only on evidence that it is over:
// never because a fact, a run, a rule or the agent was missing. What it
// remembers survives the death of the agent at any moment.
//
// No step of the system clock makes a time span longer or shorter within one
// life of the agent: spans are counted on a steady clock. Between two lives
// only the system clock can tell how long the agent was away; an absence that
// would be negative counts as none.
package ledger

import (
	"crypto/rand"
	"encoding/base32"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// goodRuns is how many good runs must see the silence before a problem closes.
	goodRuns = 2
	// flapWindow is how long a key counts as flapping after it closed, and how
	// long a flapping problem must be silent before it closes.
	flapWindow = 30 * time.Minute
	// pendingMemory is how long a finding that has not opened a problem is
	// remembered while nobody can say whether it is still there.
	pendingMemory = 24 * time.Hour
)

// A State is the durable memory of the ledger. Save must be atomic.
type State interface {
	Load(version int, v any) (bool, error)
	Save(version int, v any) error
}

// Deadlines computes the instant at which each tier is told of a problem.
type Deadlines func(key Key, owner string, since time.Time) []time.Time

// Options say how a ledger works. Only State is required.
type Options struct {
	State State
	// CloseAfter is how long a problem must have been silent before it closes;
	// 0 means two minutes. A problem that returned within half an hour of
	// closing takes half an hour.
	CloseAfter time.Duration
	// Deadlines computes the tiers; nil means none.
	Deadlines Deadlines
	// Boot is when the host started, by the same clock as the first round.
	// While StartupGrace has not passed since then, no problem opens whose
	// finding had not lasted long enough before. Zero means no grace.
	Boot         time.Time
	StartupGrace time.Duration
	// Synchronised reports whether the system clock is synchronised; nil means
	// that it is. While it is not, problems open as in the grace; but at most
	// for the first hour after boot, because a host without time service must
	// not be silent for ever.
	Synchronised func() bool
	// Built is when the agent was built. A clock that shows an earlier time is
	// wrong, and problems open as in the grace.
	Built time.Time
	// Random draws the episodes; nil means crypto/rand.
	Random io.Reader
}

// A Ledger keeps the open problems. All methods may be called by several
// goroutines at once.
type Ledger struct {
	mu       sync.Mutex
	options  Options
	clock    clock
	problems map[Key]*problem
	pending  map[Key]pending
	closed   map[Key]closing
	past     []Past // the oldest first
	counts   counts

	version uint64        // counts changes of what Problems returns
	changes uint64        // counts changes of what Save writes
	saved   uint64        // the changes that State has
	saving  chan struct{} // holds a token while State.Save runs
}

// problem is an open problem with what decides about its end.
type problem struct {
	Problem
	Opened      time.Duration `json:"opened_steady_ns"`
	Flapping    bool          `json:"flapping,omitempty"`
	Passed      int           `json:"passed,omitempty"`       // deadlines that have passed at some time
	AckCounted  bool          `json:"ack_counted,omitempty"`  // its time to ack is in the histogram
	TakenBy     string        `json:"taken_by,omitempty"`     // who took it last, also after the ack expired
	SilentRuns  int           `json:"silent_runs,omitempty"`  // good runs in a row that saw it silent
	SilentSince time.Duration `json:"silent_since_steady_ns"` // the first of them

	run uint64 // the last run that counted; runs start again with the process
	ran bool   // whether there was one
}

// pending is a finding that has not opened a problem yet.
type pending struct {
	Start    time.Duration `json:"start_steady_ns"`
	Seen     time.Duration `json:"seen_steady_ns"`
	Cautious bool          `json:"cautious,omitempty"` // began when no problem could open

	restored bool
}

// closing is what is remembered of a problem that closed lately.
type closing struct {
	At      time.Duration `json:"at_steady_ns"`
	Episode string        `json:"episode"`
}

// Open restores the ledger. The error says what could not be restored; the
// ledger is usable all the same, with all the rest.
func Open(o Options) (*Ledger, error) {
	if o.CloseAfter <= 0 {
		o.CloseAfter = 2 * time.Minute
	}
	if o.Deadlines == nil {
		o.Deadlines = func(Key, string, time.Time) []time.Time { return nil }
	}
	if o.Synchronised == nil {
		o.Synchronised = func() bool { return true }
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	l := &Ledger{
		options:  o,
		problems: map[Key]*problem{},
		pending:  map[Key]pending{},
		closed:   map[Key]closing{},
		counts:   newCounts(),
		version:  1,
		saving:   make(chan struct{}, 1),
	}
	err := l.restore()
	l.clock.start = time.Now()
	return l, err
}

// Problems returns copies of the open problems, sorted by probe, check, object
// and severity.
func (l *Ledger) Problems() []Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	problems := make([]Problem, 0, len(l.problems))
	for _, p := range l.problems {
		problems = append(problems, p.clone())
	}
	slices.SortFunc(problems, func(a, b Problem) int { return compareKeys(a.Key, b.Key) })
	return problems
}

// Version changes whenever what Problems or Statistics return does.
func (l *Ledger) Version() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

// touch notes that something changed that is both shown and saved.
func (l *Ledger) touch() {
	l.version++
	l.changes++
}

// episode draws a name that no open or lately closed problem has.
func (l *Ledger) episode() string {
	for {
		var bits [5]byte
		if _, err := io.ReadFull(l.options.Random, bits[:]); err != nil {
			rand.Read(bits[:]) // which never fails
		}
		name := strings.ToLower(base32.StdEncoding.EncodeToString(bits[:]))
		if !l.known(name) {
			return name
		}
	}
}

func (l *Ledger) known(episode string) bool {
	for _, p := range l.problems {
		if p.Episode == episode {
			return true
		}
	}
	for _, c := range l.closed {
		if c.Episode == episode {
			return true
		}
	}
	return false
}
