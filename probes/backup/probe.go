package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/dumps"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/scratch"
)

// A place is one copy of one job.
type place struct {
	job  *Job
	conf Copy
	kind job.Kind
	copy job.Copy
}

func (p *place) name() string { return p.job.Name + "/" + p.conf.Name }

// seen is what the last look at a place saw.
type seen struct {
	job.Sight
	keys  []string // of the points, in their order
	units map[string]job.Unit
	err   error // why not all could be seen
}

// probe looks at all places.
type probe struct {
	config *Config
	host   probes.Host
	places []*place
	now    func() time.Time

	mu     sync.Mutex // guards what follows
	ledger *ledger
	dirty  bool
	seen   map[string]seen // by name of the place
	passed map[string]bool // of the self-test, by format
	tested time.Time       // when that was
	worker *worker         // nil: nothing is being done
	stop   bool
}

func newProbe(c *Config, host probes.Host) *probe {
	host.Scratch = cmp.Or(c.Scratch, host.Scratch)
	p := &probe{config: c, host: host, now: time.Now, seen: map[string]seen{}}
	for i := range c.Jobs {
		j := &c.Jobs[i]
		j.Owner = cmp.Or(j.Owner, c.Owner)
		kind, _ := j.kind() // it was validated
		for _, conf := range j.copies() {
			c := dumps.Within(kind.Open(host, conf.Options), host, j.Restore.Load)
			p.places = append(p.places, &place{job: j, conf: conf, kind: kind, copy: c})
		}
	}
	return p
}

// Run looks at every place, and lets the slow work go on.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	if err := p.load(); err != nil {
		return probes.Result{}, fmt.Errorf("what was checked earlier is not known: %w", err)
	}
	if len(p.places) == 0 {
		return p.nothing()
	}
	if err := p.look(ctx); err != nil {
		return probes.Result{}, err
	}
	switch p.host.Work {
	case probes.AtOnce:
		p.all(ctx)
		if err := p.look(ctx); err != nil {
			return probes.Result{}, err
		}
	case probes.Scheduled:
		p.wake()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.report()
	p.save()
	return r, nil
}

// nothing is the result without a job. Jobs that there were are gone.
func (p *probe) nothing() (probes.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retire()
	if len(p.ledger.Gone) == 0 {
		return probes.Result{}, probes.ErrNotApplicable
	}
	r := probes.Result{}
	p.gone(&r)
	p.save()
	return r, nil
}

// load takes over what was remembered, once it can be.
func (p *probe) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ledger != nil {
		return nil
	}
	l := newLedger()
	if _, err := p.host.State.Load(ledgerVersion, l); err != nil {
		return err
	}
	if l.Copies == nil {
		l.Copies = map[string]*record{}
	}
	if l.Gone == nil {
		l.Gone = map[string]time.Time{}
	}
	p.ledger = l
	if p.host.Work == probes.Scheduled && p.scratch() != "" {
		// What a killed agent has left. It is in the way, and no more.
		for _, base := range []string{p.scratch(), os.TempDir()} {
			_ = scratch.Sweep(base)
		}
	}
	return nil
}

func (p *probe) scratch() string { return p.host.Scratch }

// save writes what is remembered. The host counts failures, and the next run
// tries again. The caller holds the lock.
func (p *probe) save() {
	if p.dirty && p.host.State.Save(ledgerVersion, p.ledger) == nil {
		p.dirty = false
	}
}

// atOnce is how many places are looked at side by side.
const atOnce = 4

// look looks at all places. One that hangs does not keep the others waiting.
func (p *probe) look(ctx context.Context) error {
	patience := time.Duration(p.config.Timeout) * 3 / 4
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var (
		group sync.WaitGroup
		slots = make(chan struct{}, atOnce)
	)
	for _, place := range p.places {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			sight, err := place.copy.Look(limited)
			if err != nil && limited.Err() != nil && ctx.Err() == nil {
				err = probes.Because(probes.Timeout, fmt.Errorf("not seen within %s", patience))
			}
			p.take(place, sight, err)
		})
	}
	group.Wait()
	return ctx.Err()
}

// farFuture is how much a clock may be wrong before a time is not believed.
const farFuture = time.Hour

// take takes over what a look has seen.
func (p *probe) take(place *place, sight job.Sight, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	r := p.ledger.copy(place.name(), now)
	if err != nil && len(sight.Points) == 0 {
		// Nothing was seen: what was seen before is all that is known.
		old := p.seen[place.name()]
		old.err = err
		p.seen[place.name()] = old
		return
	}
	sight.Points = slices.DeleteFunc(sight.Points, func(point job.Point) bool {
		future := point.At.After(now.Add(farFuture))
		if future {
			sight.Notes = append(sight.Notes, fmt.Sprintf("%s claims to be of %s, which is in the future, and does not count", point.ID, point.At.UTC().Format(time.RFC3339)))
		}
		return future
	})
	s := seen{Sight: sight, units: map[string]job.Unit{}, err: err}
	for _, u := range sight.Units {
		s.units[u.ID] = u
	}
	for _, point := range sight.Points {
		s.keys = append(s.keys, key(point, s.units))
	}
	if len(sight.Points) > 0 {
		for _, d := range []job.Depth{job.Present, job.Listed} {
			if slices.Contains(place.kind.Depths, d) {
				r.Proofs[d] = proof{At: now, Point: s.keys[0]}
			}
		}
	}
	// That it was seen again is not worth a write: the next look says so anew.
	p.dirty = r.see(s, now) || p.dirty
	r.readProof(s)
	p.seen[place.name()] = s
}

// retire notes the jobs that are not configured any more, and forgets their
// copies. The caller holds the lock.
func (p *probe) retire() {
	names, jobs := map[string]bool{}, map[string]bool{}
	for _, place := range p.places {
		names[place.name()] = true
		jobs[place.job.Name] = true
	}
	now := p.now()
	for name := range p.ledger.Copies {
		if names[name] {
			continue
		}
		delete(p.ledger.Copies, name)
		p.dirty = true
		if of := jobOf(name); !jobs[of] {
			p.ledger.Gone[of] = now
		}
	}
	maps.DeleteFunc(p.ledger.Gone, func(name string, at time.Time) bool {
		return jobs[name] || now.Sub(at) > goneFor
	})
}

// goneFor is how long a removed job is reported gone.
const goneFor = 7 * day

func jobOf(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return name
}

func (p *probe) gone(r *probes.Result) {
	for _, name := range slices.Sorted(maps.Keys(p.ledger.Gone)) {
		r.Gone(name)
	}
}

// nothing says that there is no backup, with the first of what the kind noted
// instead: one that is not finished yet is why there is none.
func nothing(notes []string) error {
	const text = "there is no backup where it should be"
	if len(notes) == 0 {
		return probes.Because(probes.NotFound, errors.New(text))
	}
	return probes.Because(probes.NotFound, fmt.Errorf("%s; %s", text, notes[0]))
}

var errNotRun = probes.Because(probes.NotRun, errors.New("the newest backup has not been checked yet"))

// judge returns the verdict on a place. The caller holds the lock.
func (p *probe) judge(place *place) job.Judgement {
	s, r := p.seen[place.name()], p.ledger.copy(place.name(), p.now())
	if flaw := r.flaw(s); flaw != nil {
		return *flaw // nothing but a good check says otherwise
	}
	switch {
	case s.err != nil:
		return job.Judge(s.err)
	case len(s.Points) == 0:
		return job.Judge(nothing(s.Notes))
	}
	return r.latest(place, s)
}

// latest is the answer of the last check of the newest point.
func (r *record) latest(place *place, s seen) job.Judgement {
	answer := job.Judge(errNotRun)
	var at time.Time
	for _, d := range job.Depths() {
		if a, tried := r.Attempts[d]; tried && a.Point == s.keys[0] && a.At.After(at) {
			answer, at = a.Judgement, a.At
		}
	}
	if at.IsZero() && !slices.Contains(place.kind.Depths, job.Structure) {
		return job.Judgement{Verdict: job.Good} // that it is listed is all that can be known
	}
	return answer
}
