// Package collector runs the probes and keeps what they learned.
//
// It promises that a probe which fails, panics, hangs or talks nonsense harms
// neither another probe nor a scrape: each runs on its own clock, one run at a
// time, its result is checked sample by sample, and what is published is
// immutable. A scrape reads the last publication and waits for nothing.
package collector

import (
	"cmp"
	"context"
	"hash/fnv"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hygiene_exporter/probes"
)

// An Entry is one probe of the configuration. Its settings are valid.
type Entry struct {
	Spec     probes.Spec
	Settings probes.Settings
	Probe    probes.Probe // nil when disabled
}

// Options are what a Collector needs to know once.
type Options struct {
	Log *slog.Logger

	// SeriesLimit is how many series of objects the exposition shows, over all
	// probes; 0 means 1,000. Facts of the host as a whole, those of the agent,
	// and further families are shown beyond it. Rules see all facts.
	SeriesLimit int
	// Priority ranks the objects of a probe for the exposition: one with a
	// higher number is shown before one with a lower. Nil ranks all alike.
	// Among equals, objects with a fault come first, then the order of names
	// decides. It is called while a report is being published: it must not
	// block, and must not call Replace.
	Priority func(probe, object string) int

	// Self returns further facts of the agent itself, of the metrics in
	// SelfMetrics. It is called for each snapshot and must not block.
	Self        func() []probes.Sample
	SelfMetrics []*probes.Metric

	// OnRun is called after each finished run, when its report is published,
	// with the name of the probe; and with "" after each Replace. Each probe has
	// a goroutine that calls it, and its next run waits for it.
	OnRun func(probe string)
}

const defaultSeriesLimit = 1000

// A Collector schedules probes and publishes their reports. Its methods may be
// called at any time by any goroutine, except that Run is called once.
type Collector struct {
	options   Options
	hostname  string
	self      *schema
	encoding  *encoding
	snapshots atomic.Uint64

	published atomic.Pointer[publication]

	mu     sync.Mutex        // held while a publication is prepared
	tracks map[string]*track // by name of every probe there ever was
}

// A generation is the probes of one configuration.
type generation struct {
	workers  []*worker     // by name
	replaced chan struct{} // closed when another generation takes over
}

// A publication is what snapshots and scrapes are made of. It is immutable.
type publication struct {
	generation *generation
	reports    map[string]*Report
	exposed    map[string]*exposure
}

// New returns a collector without probes.
func New(o Options) *Collector {
	o.SeriesLimit = cmp.Or(o.SeriesLimit, defaultSeriesLimit)
	hostname, _ := os.Hostname() // it only spreads the first runs
	c := &Collector{
		options:  o,
		hostname: hostname,
		self:     newSchema(append(AgentMetrics(), o.SelfMetrics...), make(map[string]bool)),
		encoding: newEncoding(),
		tracks:   make(map[string]*track),
	}
	c.published.Store(&publication{generation: &generation{replaced: make(chan struct{})}})
	return c
}

// Replace puts another configuration in force, all of it at once. Runs of the
// one before are cancelled, and what they still return is dropped. A probe that
// stays keeps its report; one that is disabled keeps its run number only; one
// that is not listed any more disappears. Names of probes are unique.
func (c *Collector) Replace(entries []Entry) {
	c.mu.Lock()
	old := c.published.Load()
	next := &publication{
		generation: &generation{replaced: make(chan struct{})},
		reports:    make(map[string]*Report, len(entries)),
		exposed:    old.exposed,
	}
	taken := names(append(AgentMetrics(), c.options.SelfMetrics...))
	now := time.Now()
	for _, entry := range entries {
		w := c.newWorker(entry, taken)
		w.generation = next.generation
		before := old.reports[w.name]
		w.since = now
		if was := old.worker(w.name); was != nil && was.enabled() {
			w.since = was.since
		}
		next.reports[w.name] = w.inherit(before)
		next.generation.workers = append(next.generation.workers, w)
	}
	slices.SortFunc(next.generation.workers, func(a, b *worker) int { return cmp.Compare(a.name, b.name) })
	c.publish(next)
	close(old.generation.replaced)
	c.mu.Unlock()
	c.announce("")
}

func (c *Collector) newWorker(entry Entry, taken map[string]bool) *worker {
	name := entry.Spec.Name
	if c.tracks[name] == nil {
		c.tracks[name] = &track{seat: make(chan struct{}, 1), log: newChangeLog(c.options.Log.With("probe", name))}
	}
	return &worker{
		name:      name,
		entry:     entry,
		schema:    newSchema(entry.Spec.Metrics, taken),
		track:     c.tracks[name],
		collector: c,
	}
}

// publish puts a publication in force, with its exposition encoded for those
// who scraped lately, so that no scrape pays for it. The caller holds the lock.
func (c *Collector) publish(next *publication) {
	next.exposed = c.expose(next)
	c.encoding.warm(next.segments())
	c.published.Store(next)
}

// update publishes what follows a report of the current generation. A worker of
// an earlier one changes nothing.
func (c *Collector) update(w *worker, a attempt) (before, after *Report, current bool) {
	prev := c.published.Load()
	if prev.generation != w.generation {
		return nil, nil, false
	}
	// Only this worker replaces this report, so that the expensive part needs
	// no lock.
	before = prev.reports[w.name]
	after = before.after(a, w.schema, w.entry.Settings)

	c.mu.Lock()
	defer c.mu.Unlock()
	prev = c.published.Load()
	if prev.generation != w.generation {
		return nil, nil, false
	}
	reports := maps.Clone(prev.reports)
	reports[w.name] = after
	w.track.runs = after.Run
	c.publish(&publication{generation: prev.generation, reports: reports, exposed: prev.exposed})
	return before, after, true
}

func (c *Collector) announce(probe string) {
	if c.options.OnRun != nil {
		c.options.OnRun(probe)
	}
}

// Run runs every enabled probe at its interval until ctx is done. It does not
// wait for a probe that hangs.
func (c *Collector) Run(ctx context.Context) {
	for ctx.Err() == nil {
		generation := c.published.Load().generation
		running, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		for _, w := range generation.workers {
			if w.enabled() {
				workers.Go(func() { w.loop(running, c.spread(w)) })
			}
		}
		select {
		case <-generation.replaced:
		case <-ctx.Done():
		}
		cancel()
		workers.Wait()
		for _, w := range generation.workers {
			if stopper, ok := w.entry.Probe.(probes.Stopper); ok {
				stopper.Stop()
			}
		}
	}
}

// RunOnce runs every enabled probe once, in parallel, and returns when each has
// finished, was given up, or ctx is done.
func (c *Collector) RunOnce(ctx context.Context) {
	var workers sync.WaitGroup
	for _, w := range c.published.Load().generation.workers {
		if w.enabled() {
			workers.Go(func() { w.tick(ctx) })
		}
	}
	workers.Wait()
}

// Snapshot returns what is known now.
func (c *Collector) Snapshot() *Snapshot {
	snapshot, _ := c.snapshot()
	return snapshot
}

func (c *Collector) snapshot() (*Snapshot, *publication) {
	p := c.published.Load()
	at := time.UnixMilli(time.Now().UnixMilli())
	reports := make(map[string]*Report, len(p.reports)+1)
	maps.Copy(reports, p.reports)
	reports[AgentProbe] = c.agentReport(p, at)
	return &Snapshot{At: at, Reports: reports}, p
}

// maxSpread bounds the delay of a first run, so that an agent which was just
// started has something to show.
const maxSpread = 2 * time.Second

// spread returns the delay of a probe's first run. It depends on the probe and
// on the host, so that neither the probes of a host nor the hosts of a fleet
// start together.
func (c *Collector) spread(w *worker) time.Duration {
	window := min(time.Duration(w.entry.Settings.Interval)/10, maxSpread)
	if window <= 0 {
		return 0
	}
	hash := fnv.New64a()
	hash.Write([]byte(w.name + "\x00" + c.hostname))
	return time.Duration(hash.Sum64() % uint64(window))
}

func (p *publication) worker(name string) *worker {
	for _, w := range p.generation.workers {
		if w.name == name {
			return w
		}
	}
	return nil
}

func names(metrics []*probes.Metric) map[string]bool {
	set := make(map[string]bool, len(metrics))
	for _, metric := range metrics {
		set[metric.Name] = true
	}
	return set
}
