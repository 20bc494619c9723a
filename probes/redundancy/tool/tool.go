// Package tool asks programs for what the kernel does not tell: vdevs of ZFS,
// disks behind a RAID controller, power supplies. A program may take long, so
// that each has its own schedule, and what it said is kept with its age, over
// restarts too. A host that has such a thing and cannot be asked about it is not
// taken for one that has none.
package tool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
)

// A tool is one way to ask.
type tool struct {
	name  string
	kinds []string // of the groups that it tells of
	every time.Duration
	limit time.Duration // for all its programs together

	// present returns what the host has that the tool can tell of; without any,
	// it is not asked.
	present func(*rootfs.FS) ([]string, error)
	ask     func(*asking) ([]group.Group, error)

	needed   func(*rootfs.FS) bool // whether a host is blind without the tool; nil: always
	optional bool                  // a host on which it is not installed is not blind
	partial  bool                  // the kernel lists the groups, and the tool only tells more
	counted  bool                  // each of what is present is a controller that the tool should tell of
}

// Tools asks the programs of one host. It is used by one goroutine at a time.
type Tools struct {
	host   probes.Host
	state  probes.State
	tools  []tool
	loaded bool

	mu      sync.Mutex
	answers map[string]answer        // by tool
	running map[string]chan struct{} // by tool, closed at its end
	changed bool
}

// Options are what the configuration says of tools.
type Options struct {
	Every    map[string]time.Duration // how often a tool is asked, where it is not the default
	Services []Service                // of Redfish
}

// New returns the tools of a host. It touches nothing. The state is theirs
// alone: what was said, and when the next question is due.
func New(host probes.Host, state probes.State, o Options) *Tools {
	t := &Tools{host: host, state: state, tools: tools(o.Services), answers: map[string]answer{}, running: map[string]chan struct{}{}}
	for i := range t.tools {
		if configured, is := o.Every[t.tools[i].name]; is {
			t.tools[i].every = configured
		}
	}
	return t
}

// Names lists the tools.
func Names() (all []string) {
	for _, t := range tools(nil) {
		all = append(all, t.name)
	}
	slices.Sort(all)
	return all
}

// A Reading is what all tools said last.
type Reading struct {
	group.Reading
	// Blind holds the kinds of which the host has something that nobody tells of,
	// and why.
	Blind map[string]error
}

// Kinds lists the kinds that may be blind.
func Kinds() (all []string) {
	for _, t := range tools(nil) {
		if !t.partial {
			all = append(all, t.kinds...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// costly is the interval of tools that a restart should not ask again.
const costly = 5 * time.Minute

// patience is how long Read waits for a tool that has never answered. What takes
// longer is told by a later Read.
const patience = 5 * time.Second

// Read asks what is due, in the background, and returns what all programs said
// last, each group with the time at which it was said. A kind whose program has
// not answered is closed, with the reason. It never waits longer than ctx.
func (t *Tools) Read(ctx context.Context, now time.Time) Reading {
	r := Reading{Blind: map[string]error{}}
	t.load()
	var waiting []chan struct{}
	asked := map[int][]string{}
	for i := range t.tools {
		tool := &t.tools[i]
		present, err := tool.present(t.host.Files)
		if err != nil {
			r.failed(tool, fmt.Errorf("it is not known whether %s could tell of anything: %w", tool.name, err), true)
			continue
		}
		if len(present) == 0 {
			t.forget(tool.name)
			continue
		}
		asked[i] = present
		if done := t.start(ctx, tool, present, now); done != nil {
			waiting = append(waiting, done)
		}
	}
	wait(ctx, waiting)
	for _, i := range slices.Sorted(maps.Keys(asked)) {
		t.tell(&r, &t.tools[i], asked[i])
	}
	t.save()
	return r
}

// start asks a tool that is due, and returns a channel to wait for if it has
// never answered.
func (t *Tools) start(ctx context.Context, tool *tool, present []string, now time.Time) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.answers[tool.name]
	done := t.running[tool.name]
	if due := last.At.Add(tool.every); done == nil && (!known || !now.Before(due) || last.At.After(now)) {
		done = make(chan struct{})
		t.running[tool.name] = done
		// The answer may come after the run that asked for it.
		go t.run(&asking{ctx: context.WithoutCancel(ctx), host: t.host, present: present}, tool, now, done)
	}
	if known {
		return nil
	}
	return done
}

// run asks a tool.
func (t *Tools) run(a *asking, tool *tool, now time.Time, done chan struct{}) {
	ctx, cancel := context.WithTimeout(a.ctx, tool.limit)
	defer cancel()
	a.ctx = ctx
	groups, err := tool.safely(a)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, tool.name)
	close(done)
	said := answer{At: now, Groups: groups, Err: err}
	if err != nil {
		// What was there is not known to be gone.
		for _, g := range t.answers[tool.name].Groups {
			if !slices.ContainsFunc(groups, func(told group.Group) bool { return told.Object() == g.Object() }) {
				said.Groups = append(said.Groups, group.Group{Kind: g.Kind, Name: g.Name, ID: g.ID, Err: err})
			}
		}
	}
	for i := range said.Groups {
		said.Groups[i].Observed = now
	}
	// What is asked again soon is written down only if it is something new.
	t.changed = t.changed || tool.every >= costly || !said.says(t.answers[tool.name])
	t.answers[tool.name] = said
}

// safely asks a tool; a bug in reading its answer is its error alone.
func (t *tool) safely(a *asking) (groups []group.Group, err error) {
	defer func() {
		if p := recover(); p != nil {
			groups, err = nil, probes.Because(probes.Other, fmt.Errorf("a bug in reading what %s says: %v", t.name, p))
		}
	}()
	return t.ask(a)
}

// wait waits for all, as long as it pays.
func wait(ctx context.Context, all []chan struct{}) {
	most := patience
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline)/2)
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	for _, done := range all {
		select {
		case <-done:
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		}
	}
}

// tell adds what a tool said last of what is present.
func (t *Tools) tell(r *Reading, tool *tool, present []string) {
	t.mu.Lock()
	a, known := t.answers[tool.name]
	t.mu.Unlock()
	if !known {
		r.failed(tool, probes.Because(probes.NotRun, fmt.Errorf("%s has not answered yet", tool.name)), false)
		return
	}
	r.Groups = append(r.Groups, a.Groups...)
	if a.Err == nil {
		if n := controllers(a.Groups); tool.counted && n < len(present) {
			r.Blind[tool.kinds[0]] = probes.Because(probes.Unavailable,
				fmt.Errorf("the host has %s, and %s tells of %d of them", brief(present), tool.name, n))
		}
		return
	}
	if tool.optional && missing(a.Err) || tool.needed != nil && !tool.needed(t.host.Files) {
		return // what it told of before is among the groups, with the error
	}
	r.failed(tool, fmt.Errorf("the host has %s: %w", brief(present), a.Err), true)
}

func brief(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

// failed records that the kinds of a tool could not be listed.
func (r *Reading) failed(tool *tool, err error, blind bool) {
	if tool.partial {
		return // the kernel lists them, and the groups say what is not known of them
	}
	for _, kind := range tool.kinds {
		if blind {
			r.Blind[kind] = err
		}
		r.Close(kind, err)
	}
}

// controllers counts the groups that stand for a controller: their names have no
// slash.
func controllers(groups []group.Group) (n int) {
	for _, g := range groups {
		if !strings.Contains(g.Name, "/") {
			n++
		}
	}
	return n
}
