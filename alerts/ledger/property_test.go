package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hygiene_exporter/alerts/ledger"
)

// A model is what the ledger should show, derived in the plainest way from all
// that ever happened: it remembers every round and works out the rest anew.
type model struct {
	rounds   map[ledger.Key][]seen
	open     map[ledger.Key]ledger.Problem
	passed   map[string]int // deadlines that have passed, by episode
	closed   map[string]bool
	closedAt map[ledger.Key]time.Time
	openedAt map[ledger.Key]time.Time
}

// seen is one round as one key saw it.
type seen struct {
	at       time.Time // in true time, which no step moves
	life     int
	run      uint64
	firing   bool
	evidence ledger.Evidence
	failed   bool // the rule was not evaluated
	removed  bool
}

func (s seen) good() bool { return !s.firing && !s.failed && s.evidence == ledger.Observed }

// silence returns how many distinct good runs have seen the key silent since it
// fired last, and for how long.
func silence(rounds []seen) (runs int, lasted time.Duration) {
	type run struct {
		life   int
		number uint64
	}
	spent := map[run]bool{}
	last := 0
	for i, s := range rounds {
		if s.firing {
			last, spent = i, map[run]bool{{s.life, s.run}: true}
		}
	}
	var first time.Time
	for _, s := range rounds[last:] {
		r := run{s.life, s.run}
		if !s.good() || spent[r] {
			continue
		}
		spent[r] = true
		if runs == 0 {
			first = s.at
		}
		runs++
	}
	if runs > 0 {
		lasted = rounds[len(rounds)-1].at.Sub(first)
	}
	return runs, lasted
}

// waited returns for how long the key has fired without a good look in between.
func waited(rounds []seen) time.Duration {
	var first time.Time
	for _, s := range rounds {
		switch {
		case s.firing && first.IsZero():
			first = s.at
		case !s.firing && (s.removed || !s.failed && s.evidence != ledger.Unknown):
			first = time.Time{}
		}
	}
	if first.IsZero() {
		return -1
	}
	return rounds[len(rounds)-1].at.Sub(first)
}

const wait = 3 * time.Minute // the For of every finding of the property test

// shouldBeOpen decides for one key after a round.
func (m *model) shouldBeOpen(k ledger.Key) bool {
	rounds := m.rounds[k]
	now := rounds[len(rounds)-1]
	if _, open := m.open[k]; !open {
		return now.firing && waited(rounds) >= wait
	}
	if now.firing {
		return true
	}
	if now.removed || !now.failed && now.evidence == ledger.Gone {
		return false
	}
	need := 2 * time.Minute
	if closed, ok := m.closedAt[k]; ok && m.openedAt[k].Sub(closed) < 30*time.Minute {
		need = 30 * time.Minute
	}
	runs, lasted := silence(rounds)
	return !now.good() || runs < 2 || lasted < need
}

// check compares the ledger with the model after a round.
func (m *model) check(problems []ledger.Problem, wall, now time.Time) error {
	shown := map[ledger.Key]ledger.Problem{}
	for _, p := range problems {
		if _, twice := shown[p.Key]; twice {
			return fmt.Errorf("%s is open twice", p.Key)
		}
		shown[p.Key] = p
	}
	for k := range m.rounds {
		p, is := shown[k]
		was, before := m.open[k]
		if should := m.shouldBeOpen(k); is != should {
			return fmt.Errorf("%s: open is %v and should be %v; rounds %+v", k, is, should, m.rounds[k])
		}
		switch {
		case is && before:
			if err := m.same(was, p); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		case is:
			if m.closed[p.Episode] || !p.Since.Equal(wall) {
				return fmt.Errorf("%s: opened at %s with episode %s, since %s", k, wall, p.Episode, p.Since)
			}
			m.openedAt[k] = now
		case before:
			m.closed[was.Episode] = true
			m.closedAt[k] = now
			rounds := m.rounds[k]
			m.rounds[k] = rounds[len(rounds)-1:]
		}
		last := m.rounds[k][len(m.rounds[k])-1]
		if is && p.Held != (last.failed && !last.firing || last.evidence == ledger.Unknown) {
			return fmt.Errorf("%s: held is %v after %+v", k, p.Held, last)
		}
	}
	m.open = shown
	for _, p := range problems {
		for m.passed[p.Episode] < len(p.Deadlines) && !p.Deadlines[m.passed[p.Episode]].After(wall) {
			m.passed[p.Episode]++
		}
	}
	return nil
}

// same checks what must not change while a problem is open.
func (m *model) same(was, is ledger.Problem) error {
	if was.Episode != is.Episode || !was.Since.Equal(is.Since) || was.Owner != is.Owner {
		return fmt.Errorf("was %+v, is %+v", was, is)
	}
	for i := range m.passed[is.Episode] {
		if i >= len(is.Deadlines) || !is.Deadlines[i].Equal(was.Deadlines[i]) {
			return fmt.Errorf("deadline %d of %v had passed, now %v", i, was.Deadlines, is.Deadlines)
		}
	}
	if !slices.IsSortedFunc(is.Deadlines, time.Time.Compare) {
		return fmt.Errorf("deadlines fall: %v", is.Deadlines)
	}
	return nil
}

// TestRandomHistories lets hosts live through random findings, faults, failing
// rules, removals, restarts, clock steps, reloads and acks, and compares the
// ledger with the model after every round.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { live(t, seed, 400) })
	}
}

func FuzzHistories(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { live(t, seed, 200) })
	})
}

func live(t *testing.T, seed uint64, rounds int) {
	r := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t)
	m := &model{
		rounds: map[ledger.Key][]seen{}, open: map[ledger.Key]ledger.Problem{}, passed: map[string]int{},
		closed: map[string]bool{}, closedAt: map[ledger.Key]time.Time{}, openedAt: map[ledger.Key]time.Time{},
	}
	mood := map[ledger.Key]*seen{}
	for i := range 3 {
		mood[ledger.Key{Probe: "p", Check: "c", Object: fmt.Sprint(i), Severity: "critical"}] = &seen{evidence: ledger.Observed}
	}
	lives := 0
	for n := range rounds {
		switch r.IntN(40) {
		case 0:
			w.restart(time.Duration(r.IntN(600)) * time.Second)
			lives++
		case 1: // a step back before a restart would shorten the absence; the model knows true time only
			w.step = time.Duration(r.IntN(200)-100) * time.Hour
			if err := w.round(mood, m, lives); err != nil { // so that the step is known before any restart
				t.Fatalf("seed %d, round %d: %v", seed, n, err)
			}
		case 2:
			w.ledger.Reschedule(w.wall(), ladder(0, time.Duration(r.IntN(100))*time.Minute, 2*time.Hour))
		case 3:
			for _, p := range w.ledger.Problems() {
				if _, err := w.ledger.Ack(p.Episode, ledger.Ack{By: "kim", At: w.wall(), Expires: w.wall().Add(time.Hour)}); err != nil {
					t.Fatal(err)
				}
			}
		case 4:
			time.Sleep(time.Duration(r.IntN(3600)) * time.Second)
		}
		for _, s := range mood {
			change(r, s)
		}
		time.Sleep(time.Duration(1+r.IntN(60)) * time.Second)
		if r.IntN(5) > 0 {
			w.runs++
		}
		if err := w.round(mood, m, lives); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, n, err)
		}
	}
	if len(m.closed) < rounds/100 {
		t.Errorf("seed %d: only %d problems closed; the test tells nothing", seed, len(m.closed))
	}
}

// change lets a key's state of mind change now and then.
func change(r *rand.Rand, s *seen) {
	if r.IntN(12) == 0 {
		s.firing = !s.firing
	}
	if r.IntN(8) == 0 {
		s.evidence = ledger.Observed
		s.failed, s.removed = false, false
		switch r.IntN(24) {
		case 0, 1, 2:
			s.evidence = ledger.Unknown
		case 3:
			s.evidence = ledger.Gone
		case 4, 5:
			s.failed = true
		case 6:
			s.removed = true
		}
	}
}

// round is one round of the ledger and of the model.
func (w *world) round(mood map[ledger.Key]*seen, m *model, life int) error {
	now := time.Now()
	round := ledger.Round{
		At:        w.wall(),
		Evaluated: func(k ledger.Key) bool { return !mood[k].failed },
		Removed:   func(k ledger.Key) bool { return mood[k].removed },
		Evidence:  func(k ledger.Key) (ledger.Evidence, uint64) { return mood[k].evidence, w.runs },
	}
	for k, s := range mood {
		if s.firing {
			round.Findings = append(round.Findings, ledger.Finding{Key: k, For: wait})
		}
		one := *s
		one.at, one.life, one.run = now, life, w.runs
		m.rounds[k] = append(m.rounds[k], one)
	}
	w.ledger.Observe(round)
	w.save()
	return m.check(w.ledger.Problems(), round.At, now)
}
