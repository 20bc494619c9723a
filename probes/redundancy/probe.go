package redundancy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/memory"
	"hygiene_exporter/probes/redundancy/bond"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/mdraid"
	"hygiene_exporter/probes/redundancy/path"
	"hygiene_exporter/probes/redundancy/rtnl"
	"hygiene_exporter/probes/redundancy/service"
	"hygiene_exporter/probes/redundancy/tool"
	"hygiene_exporter/probes/redundancy/volume"
)

// memoryVersion is that of what the probe remembers.
const memoryVersion = 1

// Failover is the kind of event that the probe observes when a group changes
// over from one member to another, or has gone on without a member that is back.
const Failover = "failover"

// probe looks at all groups of the host.
type probe struct {
	config *Config
	host   probes.Host
	tools  *tool.Tools

	mu     sync.Mutex // guards what follows, and is held while Run runs
	memory *memory.Memory[record]
	loaded bool
	seeds  seeds
	last   map[string]shown // by object, for Explain
	unseen map[string]error // by kind, for Explain
}

func newProbe(c *Config, host probes.Host) *probe {
	state := divide(host.State)
	return &probe{
		config: c, host: host, last: map[string]shown{},
		memory: memory.New[record](state.part("baseline"), memoryVersion),
		seeds:  seeds{state: state.part("seeds")},
		tools:  tool.New(host, state.part("tools"), c.tools()),
	}
}

// run is one run.
type run struct {
	*probe
	now    time.Time
	result probes.Result
	closed map[string]error // kinds that could not be listed
	unseen map[string]error // kinds of which there is something that no tool tells of
	seen   map[string]bool  // objects
	shown  map[string]shown
}

// Run reads all groups and measures them by what they should be.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &run{probe: p, now: time.Now(), closed: map[string]error{}, seen: map[string]bool{}, shown: map[string]shown{}}
	if err := p.remember(); err != nil {
		r.result.Fault(probes.HostObject, fmt.Errorf("what was there earlier is not known: %w", err))
	}
	groups, err := r.read(ctx)
	if err != nil {
		return probes.Result{}, err
	}
	r.named(groups)
	r.sow(groups)
	for i := range groups {
		r.look(&groups[i])
	}
	r.absent()
	p.last, p.unseen = r.shown, r.unseen
	if p.loaded {
		_ = p.memory.Save() // the host counts failed writes, and the next run tries again
	}
	if len(r.seen) == 0 && len(r.result.Samples) == 0 && len(r.result.Faults) == 0 && len(r.result.Removed) == 0 {
		return probes.Result{}, probes.ErrNotApplicable
	}
	return r.result, nil
}

// read reads the kernel, and then what tools say in addition.
func (r *run) read(ctx context.Context) ([]group.Group, error) {
	files := r.host.Files
	var groups []group.Group
	for _, read := range []func() group.Reading{
		func() group.Reading { return mdraid.Read(files) },
		func() group.Reading { return bond.Read(files) },
		func() group.Reading { return path.Read(ctx, r.host) },
		func() group.Reading { return volume.Read(files) },
		func() group.Reading { return rtnl.Read(ctx, r.host.Netlink) },
		func() group.Reading { return service.Read(ctx, r.host) },
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		reading := read()
		groups = append(groups, reading.Groups...)
		maps.Copy(r.closed, reading.Closed)
	}
	told := r.tools.Read(ctx, r.now)
	for _, g := range told.Groups {
		same := slices.IndexFunc(groups, func(have group.Group) bool { return have.Object() == g.Object() })
		switch {
		case same < 0:
			groups = append(groups, g)
		case groups[same].Partial:
			groups[same] = groups[same].Refined(g)
		}
	}
	maps.Copy(r.closed, told.Closed)
	r.unseen = told.Blind
	return groups, ctx.Err()
}

// remember loads the memory, once it can be.
func (p *probe) remember() error {
	if p.loaded {
		return nil
	}
	err := p.memory.Load()
	p.loaded = err == nil
	return err
}

// named takes over what is remembered of groups that have another name now.
func (r *run) named(groups []group.Group) {
	there := map[string]string{} // identity by object
	for i := range groups {
		there[groups[i].Object()] = groups[i].ID
	}
	old := map[string]string{} // object by kind and identity, of those that are not there
	for _, object := range r.memory.Present() {
		known, _ := r.memory.Object(object)
		kind, _, _ := strings.Cut(object, "/")
		if id := known.Detail.ID; id != "" && there[object] != id {
			old[kind+"/"+id] = object
		}
	}
	for i := range groups {
		g := &groups[i]
		object, moved := old[g.Kind+"/"+g.ID]
		if g.ID == "" || !moved {
			continue
		}
		known, _ := r.memory.Object(object)
		r.memory.Removed(object, r.now)
		r.memory.Saw(g.Object(), known.Detail, r.now)
	}
}

// recorded returns what is remembered of an object. Another thing under the same
// name is a new one.
func (r *run) recorded(object, id string) (record, time.Time) {
	known, ok := r.memory.Object(object)
	if !ok || !known.Removed.IsZero() || id != "" && known.Detail.ID != "" && id != known.Detail.ID {
		return record{}, r.now
	}
	return known.Detail, known.First
}

// look deals with one group.
func (r *run) look(g *group.Group) {
	object := g.Object()
	if r.config.dropped(object) || r.seen[object] {
		return
	}
	e := r.config.expected(object)
	before, first := r.recorded(object, g.ID)
	next := before.learn(g, e)
	// What is nothing special, and never was more, is not spoken of.
	if g.Ordinary && g.Err == nil && next.Members < 2 && e.Members == nil {
		return
	}
	r.seen[object] = true
	v := judge(g, next)
	next, from, to := next.watch(g, v, r.now)
	r.memory.Saw(object, next, r.now)
	f := facts{&r.result, object, g.Kind, e.Owner}
	if g.Err != nil {
		r.result.Fault(object, g.Err)
		f.state(unknown)
	} else {
		f.group(g, next, v)
		f.pool(g, r.config.PoolFull)
	}
	f.times(next, r.config, first)
	if g.Scrub.Possible && r.config.Scrub > 0 {
		f.at(scrubDeadline, max(next.Scrub, first.Unix())+seconds(r.config.Scrub))
	}
	r.shown[object] = shown{group: *g, record: next, verdict: v, first: first}
	if from != "" {
		// The host counts events that it could not keep.
		_ = r.host.Events.Observe(probes.Event{
			Kind: Failover, Object: object, At: r.now, Detail: map[string]string{"from": from, "to": to},
		})
	}
}

// absent deals with what should be there and is not: it vanished, it cannot be
// seen, or the configuration gave it up.
func (r *run) absent() {
	wanted := r.memory.Present()
	for _, e := range r.config.Expect {
		if e.Members != nil && *e.Members > 0 && !slices.Contains(wanted, e.Object) {
			wanted = append(wanted, e.Object)
		}
	}
	for _, object := range wanted {
		if r.seen[object] {
			continue
		}
		kind, _, _ := strings.Cut(object, "/")
		e := r.config.expected(object)
		switch err := r.closed[kind]; {
		case r.config.dropped(object), e.Members != nil && *e.Members == 0:
			r.memory.Removed(object, r.now)
		case err != nil:
			r.seen[object] = true
			r.result.Fault(object, err)
			r.shown[object] = shown{closed: true}
		default:
			r.vanished(object, kind, e)
		}
	}
	r.blind(wanted)
	for _, object := range r.memory.Gone(r.now) {
		if !r.seen[object] {
			r.result.Gone(object)
		}
	}
}

// blind reports kinds of which the host has something that nobody tells of, and
// kinds that could not be listed and of which nothing is known that could be
// missed.
func (r *run) blind(wanted []string) {
	for _, kind := range tool.Kinds() {
		switch err := r.unseen[kind]; {
		case r.config.dropped(kind):
			r.result.Gone(kind)
		case err != nil:
			f := facts{&r.result, kind, kind, r.config.expected(kind).Owner}
			f.add(unverifiable, 1, string(probes.ReasonOf(err)))
		default:
			r.result.Observe(kind)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.closed)) {
		if r.unseen[kind] != nil {
			continue
		}
		known := slices.ContainsFunc(wanted, func(object string) bool { return strings.HasPrefix(object, kind+"/") })
		if !known {
			r.result.Fault(kind, r.closed[kind])
		}
	}
}

// vanished reports an object that is not there any more.
func (r *run) vanished(object, kind string, e Expect) {
	r.seen[object] = true
	known, first := r.recorded(object, "")
	next := known
	if e.Members != nil {
		next.Members = *e.Members
	}
	if next.Degraded == 0 {
		next.Degraded = r.now.Unix()
	}
	next.Down, next.Whole = "", false
	r.memory.Saw(object, next, r.now)
	design := next.design()
	f := facts{&r.result, object, kind, e.Owner}
	v := verdict{state: missing, expected: next.Members, missing: next.Members, design: design}
	f.state(missing)
	f.add(membersExpected, float64(next.Members))
	f.add(membersActive, 0)
	f.add(membersMissing, float64(next.Members))
	f.add(toleratedDesign, float64(design))
	f.members(&group.Group{}, next, v)
	f.times(next, r.config, first)
	r.shown[object] = shown{record: next, first: first, verdict: v}
}
