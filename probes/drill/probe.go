package drill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
)

// The events of other probes that count for drills.
const (
	failoverEvent     = "failover"            // of the probe redundancy
	verificationEvent = "backup_verification" // of the probe backup
)

const (
	version    = 1
	goneFor    = 7 * 24 * time.Hour       // how long a removed drill is reported gone
	keepFor    = 3 * 366 * 24 * time.Hour // how long its evidence is kept
	maxRemoved = 2 * maxDrills            // of which evidence is kept
)

// A Probe keeps the calendar and the evidence of drills. It may be used
// concurrently.
type Probe struct {
	config *Config
	host   probes.Host
	now    func() time.Time

	mu    sync.Mutex
	files map[string]*file // by name; nil until loaded
}

var _ probes.Explainer = (*Probe)(nil)

// Run implements probes.Probe. It takes in what other probes saw.
func (p *Probe) Run(ctx context.Context) (probes.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := errors.Join(ctx.Err(), p.load()); err != nil {
		return probes.Result{}, err
	}
	now := p.now().UTC()
	var r probes.Result
	for i := range p.config.Drills {
		d := &p.config.Drills[i]
		f := p.files[d.Name]
		p.observe(d, f, now)
		f.facts(&r, d, now)
	}
	for _, name := range p.retire(now) {
		r.Gone(name)
	}
	// The host counts what it could not write, and keeps it for the next time.
	_ = p.host.State.Save(version, p.files)
	if len(p.config.Drills) == 0 && len(r.Removed) == 0 {
		return probes.Result{}, probes.ErrNotApplicable
	}
	return r, nil
}

// load takes over what was remembered, once it can be, and opens a file for
// every drill of the configuration.
func (p *Probe) load() error {
	if p.files != nil {
		return nil
	}
	files := map[string]*file{}
	if _, err := p.host.State.Load(version, &files); err != nil {
		return fmt.Errorf("the evidence of earlier drills is not known: %w", err)
	}
	maps.DeleteFunc(files, func(_ string, f *file) bool { return f == nil })
	now := p.now().UTC()
	for _, d := range p.config.Drills {
		f := files[d.Name]
		if f == nil {
			f = &file{First: now}
			files[d.Name] = f
		}
		if !f.Removed.IsZero() {
			f.First, f.Removed = now, time.Time{} // what is configured again is due anew
		}
	}
	p.files = files
	return nil
}

// retire notes which drills are configured no more, forgets what is too old,
// and returns those that are gone, sorted.
func (p *Probe) retire(now time.Time) []string {
	var removed []string
	for name, f := range p.files {
		if _, configured := p.config.Drill(name); configured {
			continue
		}
		if f.Removed.IsZero() {
			f.Removed = now
		}
		removed = append(removed, name)
	}
	slices.SortFunc(removed, func(a, b string) int { // the newest first
		return p.files[b].Removed.Compare(p.files[a].Removed)
	})
	var gone []string
	for i, name := range removed {
		f := p.files[name]
		age := now.Sub(f.Removed)
		if i >= maxRemoved || age > keepFor || (age > goneFor && len(f.Records) == 0) {
			delete(p.files, name)
			continue
		}
		if age <= goneFor {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}

// observe takes in the events that count for a drill. One that seems to be in
// the future waits until it is not.
func (p *Probe) observe(d *Drill, f *file, now time.Time) {
	kind := map[string]string{observed: failoverEvent, restore: verificationEvent}[d.Kind]
	if kind == "" {
		return
	}
	for _, event := range p.host.Events.Observed(kind) {
		if event.At.After(now) {
			break
		}
		if !event.At.After(f.Seen) || !doublestar.MatchUnvalidated(d.Object, event.Object) {
			continue
		}
		f.Seen = event.At.UTC()
		if r, counts := witnessed(d, event); counts {
			r.Recorded = now
			f.add(r)
		}
	}
}

// witnessed makes a record of what another probe saw, if it counts.
func witnessed(d *Drill, event probes.Event) (r Record, counts bool) {
	r = Record{Drill: d.Name, At: event.At.UTC(), How: ByProbe, Result: Passed, Detail: map[string]string{"object": event.Object}}
	for key, value := range event.Detail {
		r.Detail[key] = cut(value)
	}
	if d.Kind == observed {
		return r, true
	}
	if !slices.Contains([]string{"restored", "loaded", "asserted"}, event.Detail["depth"]) {
		return r, false
	}
	switch event.Detail["verdict"] {
	case "good":
	case "bad":
		r.Result = Failed
	default:
		r.Result = Aborted // it could not be tried, or could not be judged
	}
	if seconds, err := strconv.ParseFloat(event.Detail["seconds"], 64); err == nil && seconds > 0 {
		r.Seconds = seconds
	}
	return r, true
}

// Standings tells how all drills stand, those of the configuration first.
func (p *Probe) Standings() ([]Standing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return nil, err
	}
	now := p.now().UTC()
	var all []Standing
	for i := range p.config.Drills {
		d := &p.config.Drills[i]
		all = append(all, standing(d, p.files[d.Name], now))
	}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if _, configured := p.config.Drill(name); !configured {
			s := standing(&Drill{Name: name}, p.files[name], now)
			s.Removed, s.Deadline = true, time.Time{}
			all = append(all, s)
		}
	}
	return all, nil
}

// running returns the drill that is being run; nil when none is. One whose end
// was not recorded is believed to run for as long as it may.
func (p *Probe) running(now time.Time) *Record {
	for i := range p.config.Drills {
		d := &p.config.Drills[i]
		last := p.files[d.Name].last(now, func(r *Record) bool { return r.How == ByCommand })
		if last != nil && last.Unfinished && now.Sub(last.At) < d.longest() {
			return last
		}
	}
	return nil
}

// Record keeps the evidence of a drill that a person attests or has run, and
// returns how the drill stands then. Who records it must be known; only root
// can have run one.
func (p *Probe) Record(r Record, uid uint32) (Standing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return Standing{}, err
	}
	now := p.now().UTC()
	d, configured := p.config.Drill(r.Drill)
	switch {
	case !configured:
		return Standing{}, fmt.Errorf("no drill of the configuration is called %.80q", r.Drill)
	case r.How == ByCommand && !d.Runs():
		return Standing{}, fmt.Errorf("%s is of the kind %s, and is not run", d.Name, d.Kind)
	case r.How == ByCommand && uid != 0:
		return Standing{}, errors.New("only root runs drills")
	}
	if err := r.Validate(now); err != nil {
		return Standing{}, fmt.Errorf("%s: %w", d.Name, err)
	}
	if other := p.running(now); r.Unfinished && other != nil {
		return Standing{}, fmt.Errorf("%s is being run by %s since %s, and there is one drill at a time", other.Drill, other.By, stamp(other.At))
	}
	r.UID, r.Recorded, r.At, r.Count = &uid, now, r.At.UTC(), 0
	f := p.files[d.Name]
	f.add(r)
	s := standing(&d, f, now)
	if err := p.host.State.Save(version, p.files); err != nil {
		return s, fmt.Errorf("recorded, and not saved: %w", err)
	}
	return s, nil
}
