package redundancy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/memory"
	"hygiene_exporter/probes/redundancy/bond"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/mdraid"
	"hygiene_exporter/probes/redundancy/path"
	"hygiene_exporter/probes/redundancy/rtnl"
	"hygiene_exporter/probes/redundancy/volume"
)

// memoryVersion is that of what the probe remembers.
const memoryVersion = 1

// Failover is the kind of event that the probe observes when a group changes
// over from one member to another.
const Failover = "failover"

// probe looks at all groups of the host.
type probe struct {
	config *Config
	host   probes.Host

	memory *memory.Memory[record]
	loaded bool
	last   map[string]shown // by object, for Explain
}

func newProbe(c *Config, host probes.Host) *probe {
	return &probe{config: c, host: host, last: map[string]shown{}}
}

// run is one run.
type run struct {
	*probe
	now    time.Time
	result probes.Result
	closed map[string]error // kinds that could not be listed
	seen   map[string]bool  // objects
	shown  map[string]shown
}

// Run reads all groups and measures them by what they should be.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	r := &run{probe: p, now: time.Now(), closed: map[string]error{}, seen: map[string]bool{}, shown: map[string]shown{}}
	if err := p.remember(); err != nil {
		r.result.Fault(probes.HostObject, fmt.Errorf("what was there earlier is not known: %w", err))
	}
	var groups []group.Group
	for _, read := range []func() group.Reading{
		func() group.Reading { return mdraid.Read(p.host.Files) },
		func() group.Reading { return bond.Read(p.host.Files) },
		func() group.Reading { return path.Read(p.host.Files) },
		func() group.Reading { return volume.Read(p.host.Files) },
		func() group.Reading { return rtnl.Read(ctx, p.host.Netlink) },
	} {
		if err := ctx.Err(); err != nil {
			return probes.Result{}, err
		}
		reading := read()
		groups = append(groups, reading.Groups...)
		maps.Copy(r.closed, reading.Closed)
	}
	if err := ctx.Err(); err != nil {
		return probes.Result{}, err
	}
	r.named(groups)
	for i := range groups {
		r.look(&groups[i])
	}
	r.absent()
	p.last = r.shown
	if p.loaded {
		_ = p.memory.Save() // the host counts failed writes, and the next run tries again
	}
	if len(r.seen) == 0 && len(r.result.Faults) == 0 && len(r.result.Removed) == 0 {
		return probes.Result{}, probes.ErrNotApplicable
	}
	return r.result, nil
}

// remember loads the memory, once it can be.
func (p *probe) remember() error {
	if p.loaded {
		return nil
	}
	p.memory = memory.New[record](p.host.State, memoryVersion)
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
	for i := range groups {
		g := &groups[i]
		if g.ID == "" {
			continue
		}
		if known, ok := r.memory.Object(g.Object()); ok && known.Removed.IsZero() && known.Detail.ID == g.ID {
			continue
		}
		for _, old := range r.memory.Present() {
			known, _ := r.memory.Object(old)
			if known.Detail.ID == g.ID && strings.HasPrefix(old, g.Kind+"/") && there[old] != g.ID {
				r.memory.Removed(old, r.now)
				r.memory.Saw(g.Object(), known.Detail, r.now)
				break
			}
		}
	}
}

// recorded returns what is remembered of an object. Another thing under the same
// name is a new one.
func (r *run) recorded(object, id string) (record, time.Time) {
	known, ok := r.memory.Object(object)
	if !ok || !known.Removed.IsZero() || id != "" && known.Detail.ID != "" && id != known.Detail.ID {
		return record{}, time.Time{}
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
	next, failedOver := next.watch(g, v, r.now)
	r.memory.Saw(object, next, r.now)
	f := facts{&r.result, object, g.Kind, e.Owner}
	if g.Err != nil {
		r.result.Fault(object, g.Err)
		f.state(unknown)
	} else {
		f.group(g, next, v)
	}
	f.times(next, time.Duration(r.config.Repair))
	if first.IsZero() {
		first = r.now
	}
	f.at(baselineRecorded, first.Unix())
	r.shown[object] = shown{group: *g, record: next, verdict: v, first: first}
	if failedOver {
		// The host counts events that it could not keep.
		_ = r.host.Events.Observe(probes.Event{
			Kind: Failover, Object: object, At: r.now,
			Detail: map[string]string{"from": before.Current, "to": next.Current},
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
			r.fault(object, err)
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

func (r *run) fault(object string, err error) {
	r.seen[object] = true
	r.result.Fault(object, err)
}

// blind reports kinds that could not be listed, and of which nothing is known
// that could be missed.
func (r *run) blind(wanted []string) {
	for _, kind := range slices.Sorted(maps.Keys(r.closed)) {
		known := slices.ContainsFunc(wanted, func(object string) bool { return strings.HasPrefix(object, kind+"/") })
		if !known {
			r.result.Fault(kind, r.closed[kind])
		}
	}
}

// vanished reports an object that is not there any more.
func (r *run) vanished(object, kind string, e Expect) {
	r.seen[object] = true
	known, _ := r.memory.Object(object)
	next := known.Detail
	if e.Members != nil {
		next.Members = *e.Members
	}
	if next.Degraded == 0 {
		next.Degraded = r.now.Unix()
	}
	if known.First.IsZero() {
		known.First = r.now
	}
	r.memory.Saw(object, next, r.now)
	f := facts{&r.result, object, kind, e.Owner}
	design := next.Design
	if design == 0 {
		design = max(0, next.Members-1)
	}
	f.state(missing)
	f.add(membersExpected, float64(next.Members))
	f.add(membersActive, 0)
	f.add(membersMissing, float64(next.Members))
	f.add(toleratedDesign, float64(design))
	f.members(&group.Group{}, next, verdict{missing: next.Members})
	f.at(degradedSince, next.Degraded)
	f.at(baselineRecorded, known.First.Unix())
	r.shown[object] = shown{record: next, first: known.First, verdict: verdict{state: missing, expected: next.Members, missing: next.Members, design: design}}
}
