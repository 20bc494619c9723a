package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"hygiene_exporter/alerts/ledger"
)

// disk is a State in memory that keeps what the encoder made.
type disk struct {
	mu     sync.Mutex
	data   []byte
	saves  int
	broken error         // what Save returns
	hang   chan struct{} // Save waits until it is closed
}

func (d *disk) Load(version int, v any) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.data == nil {
		return false, nil
	}
	return true, json.Unmarshal(d.data, v)
}

func (d *disk) Save(version int, v any) error {
	d.mu.Lock()
	hang := d.hang
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if version != 1 {
		return errors.New("the schema is version 1")
	}
	if d.broken != nil {
		return d.broken
	}
	data, err := json.Marshal(v)
	d.data = data
	d.saves++
	return err
}

// key is the only key of a world.
var key = ledger.Key{Probe: "certificate", Check: "expired", Object: "/etc/ssl/a.pem", Severity: "critical"}

// world is a host with one check, whose clock, facts and agent a test controls.
// It runs inside a synctest bubble.
type world struct {
	t       testing.TB
	disk    *disk
	options ledger.Options
	ledger  *ledger.Ledger
	log     []string // every change, as "kind reason"

	step     time.Duration // how far the system clock was set
	runs     uint64        // of this life of the agent
	findings []ledger.Finding
	evidence ledger.Evidence
	broken   bool   // the rule fails
	removed  bool   // the rule is gone
	probe    string // scope of a round
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, disk: &disk{}, evidence: ledger.Observed}
	w.options = ledger.Options{State: w.disk, Deadlines: ladder(0, 30*time.Minute, 2*time.Hour), Random: rand.NewChaCha8([32]byte{1})}
	w.start()
	return w
}

func ladder(tiers ...time.Duration) ledger.Deadlines {
	return func(key ledger.Key, owner string, since time.Time) (all []time.Time) {
		for _, tier := range tiers {
			all = append(all, since.Add(tier))
		}
		return all
	}
}

// start begins a new life of the agent from what is on disk.
func (w *world) start() {
	w.t.Helper()
	l, err := ledger.Open(w.options)
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	w.ledger, w.runs = l, 0
}

// restart kills the agent after its last save; it is away for a while.
func (w *world) restart(away time.Duration) {
	w.t.Helper()
	w.save()
	time.Sleep(away)
	w.start()
}

func (w *world) save() {
	w.t.Helper()
	if err := w.ledger.Save(w.t.Context()); err != nil {
		w.t.Fatalf("Save: %v", err)
	}
}

func (w *world) wall() time.Time { return time.Now().Add(w.step).Round(0) }

func (w *world) fire(wait time.Duration) {
	w.findings = []ledger.Finding{{Key: key, Owner: "web", Rule: "CertificateExpired", Summary: "a.pem has expired", For: wait}}
}

func (w *world) silence() { w.findings = nil }

// evaluate is a round without a new run of the probe.
func (w *world) evaluate() {
	changes := w.ledger.Observe(ledger.Round{
		At:        w.wall(),
		Findings:  w.findings,
		Probe:     w.probe,
		Evaluated: func(ledger.Key) bool { return !w.broken },
		Removed:   func(ledger.Key) bool { return w.removed },
		Evidence:  func(ledger.Key) (ledger.Evidence, uint64) { return w.evidence, w.runs },
	})
	for _, c := range changes {
		entry := string(c.Kind)
		if c.Reason != "" {
			entry += " " + string(c.Reason)
		}
		w.log = append(w.log, entry)
	}
}

// run makes this many runs of the probe, half a minute apart, each followed by
// a round.
func (w *world) run(times int) {
	for range times {
		time.Sleep(30 * time.Second)
		w.runs++
		w.evaluate()
	}
}

// only returns the only open problem.
func (w *world) only() ledger.Problem {
	w.t.Helper()
	problems := w.ledger.Problems()
	if len(problems) != 1 {
		w.t.Fatalf("%d open problems", len(problems))
	}
	return problems[0]
}

// state says in a word what the ledger shows.
func (w *world) state() string {
	switch problems := w.ledger.Problems(); {
	case len(problems) == 0:
		return "none"
	case problems[0].Held:
		return fmt.Sprintf("held %s", problems[0].HeldReason)
	default:
		return "open"
	}
}
