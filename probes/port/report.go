package port

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/internal/memory"
)

const (
	memoryVersion = 1
	// saveEvery bounds how often the disk is written to on a busy host. What
	// began or ended a violation is written at once.
	saveEvery = time.Minute
)

// detail is what is remembered of an object.
type detail struct {
	Policy    string             `json:"policy,omitempty"` // the violation
	Since     int64              `json:"since,omitempty"`  // of the violation, in seconds
	Protocol  listeners.Protocol `json:"protocol"`
	Namespace string             `json:"namespace,omitempty"`
	Required  bool               `json:"required,omitempty"` // a rule, and no listener
}

// remember loads the memory, once it can be.
func (p *probe) remember() error {
	if p.loaded {
		return nil
	}
	loaded := memory.New[detail](p.host.State, memoryVersion)
	if err := loaded.Load(); err != nil {
		return err
	}
	p.memory, p.loaded = loaded, true
	// Changes while the agent was down are changes too.
	p.before = map[string][]uint64{}
	for _, name := range loaded.Present() {
		if object, _ := loaded.Object(name); !object.Detail.Required {
			p.before[name] = nil
		}
	}
	if len(p.before) == 0 {
		p.before = nil
	}
	return nil
}

// report adds what is known of the objects.
func (r *run) report(objects []*object) {
	now := make(map[string][]uint64, len(objects))
	r.objects = make(map[string]*object, len(objects))
	for _, o := range objects {
		if !r.listed(o) {
			continue
		}
		inodes := make([]uint64, 0, len(o.sockets))
		for _, s := range o.sockets {
			inodes = append(inodes, s.Inode)
		}
		now[o.name], r.objects[o.name], r.seen[o.name] = inodes, o, true
		r.describe(o)
	}
	r.count(now)
}

// listed reports whether an object has facts of its own. A host has dozens of
// unix sockets that are no door to anything.
func (r *run) listed(o *object) bool {
	return o.protocol != listeners.Unix || o.exposure == everyone || r.config.covers(o)
}

// owner returns who is told of an object.
func (r *run) owner(v verdict) string {
	if v.rule >= 0 {
		return r.config.Policy[v.rule].Owner
	}
	return ""
}

func (r *run) describe(o *object) {
	v, owner := o.verdict, r.owner(o.verdict)
	r.result.Add(listenerInfo, 1, o.name,
		o.values((*socket).address),
		o.values(func(s *socket) string { return s.process.Name }),
		o.values(func(s *socket) string { return s.user }),
		o.values(func(s *socket) string { return s.process.Executable }),
		v.policy, owner)
	r.remembered(o)
	through := r.through(o)
	if through != "" {
		r.result.Add(firewallVerdict, 1, o.name, through, owner)
	}
	for _, name := range slices.Concat(o.findings(), r.firewallFindings(o, through)) {
		r.result.Add(finding, 1, o.name, name, owner)
	}
	if v.rule >= 0 && v.policy != policyForbidden {
		r.result.AddTime(exceptionExpiry, r.config.Policy[v.rule].ends(), o.name, owner)
	}
	if v.policy == policyUndecided {
		r.result.Fault(o.name, undecided(v))
	}
}

func undecided(v verdict) error {
	err := fmt.Errorf("whether rule %d of the policy fits depends on its %s, which cannot be seen", v.rule, v.unknown)
	if v.pending {
		return probes.Because(probes.NotRun, fmt.Errorf("whether rule %d of the policy fits depends on its %s, which is still looked for", v.rule, v.unknown))
	}
	return probes.Because(probes.PermissionDenied, err)
}

// remembered takes an object into the memory, and adds since when things are as
// they are. What was there for one moment only is not remembered, unless it was
// a violation.
func (r *run) remembered(o *object) {
	d := detail{Protocol: o.source(), Namespace: o.namespace}
	if o.verdict.violated() {
		d.Policy = o.verdict.policy
	}
	_, again := r.before[o.name]
	if known := r.note(o.name, d, again || r.runs == 1); known {
		object, _ := r.memory.Object(o.name)
		r.result.AddTime(firstSeen, object.First, o.name, r.owner(o.verdict))
		if d.Policy != "" {
			r.result.Add(violation, float64(object.Detail.Since), o.name, o.exposure, d.Policy, r.owner(o.verdict))
		}
	}
}

// note records a detail, with the time at which its violation began. It reports
// whether the object is remembered.
func (r *run) note(name string, d detail, worth bool) bool {
	old, known := r.memory.Object(name)
	d.Since = r.now.Unix()
	switch {
	case d.Policy == "":
		d.Since = 0
	case known && old.Removed.IsZero() && old.Detail.Policy == d.Policy:
		d.Since = old.Detail.Since
	}
	if !known && d.Policy == "" && !worth {
		return false
	}
	r.urgent = r.urgent || d.Policy != old.Detail.Policy
	r.memory.Saw(name, d, r.now)
	_, known = r.memory.Object(name)
	return known
}

// absent deals with what was there before and is not now.
func (r *run) absent() {
	for at, err := range r.scan.failed {
		if err != nil && !errors.Is(err, errPending) {
			r.result.Fault(at.String(), err)
		}
	}
	if r.scan.addresses != nil {
		r.result.Fault(probes.HostObject, r.scan.addresses)
	}
	for _, name := range r.memory.Present() {
		object, _ := r.memory.Object(name)
		if !r.seen[name] && (object.Detail.Required || !r.blind(name)) {
			r.urgent = r.urgent || object.Detail.Policy != ""
			r.memory.Removed(name, r.now)
		}
	}
	for _, name := range r.memory.Gone(r.now) {
		if !r.seen[name] {
			r.result.Gone(name)
		}
	}
}

// count counts what has changed since the last run. What cannot be seen now has
// not been closed.
func (r *run) count(now map[string][]uint64) {
	if r.before != nil {
		for name, inodes := range now {
			old, known := r.before[name]
			switch {
			case !known:
				r.events["opened"]++
			case len(old) > 0 && disjoint(old, inodes):
				r.events["rebound"]++
			}
		}
		for name := range r.before {
			if _, there := now[name]; !there && !r.blind(name) {
				r.events["closed"]++
			}
		}
	}
	for name, inodes := range r.before {
		if _, there := now[name]; !there && r.blind(name) {
			now[name] = inodes
		}
	}
	r.before = now
}

// blind reports whether the place of an object could not be looked at.
func (r *run) blind(name string) bool {
	object, known := r.memory.Object(name)
	_, failed := r.scan.failed[place{object.Detail.Namespace, object.Detail.Protocol}]
	return known && (failed || r.unlisted && object.Detail.Namespace != "")
}

func disjoint(a, b []uint64) bool {
	return !slices.ContainsFunc(a, func(inode uint64) bool { return slices.Contains(b, inode) })
}

// totals adds the facts about the host as a whole.
func (r *run) totals() {
	type class struct{ protocol, exposure string }
	classes, hows := map[class]int{}, map[string]int{}
	for _, s := range r.scan.sockets {
		classes[class{string(s.Protocol), s.exposure}]++
		if s.Protocol != listeners.Unix {
			hows[s.how()]++
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(classes), func(a, b class) int {
		return slices.Compare([]string{a.protocol, a.exposure}, []string{b.protocol, b.exposure})
	}) {
		r.result.Add(listenerCount, float64(classes[c]), c.protocol, c.exposure)
	}
	for _, how := range attribution.Values["how"] {
		r.result.Add(attribution, float64(hows[how]), how)
	}
	for _, event := range changes.Values["event"] {
		r.result.Add(changes, r.events[event], event)
	}
	r.result.Add(namespaceCount, float64(r.scan.inspected), "inspected")
	r.result.Add(namespaceCount, float64(r.scan.skipped), "skipped")
	for protocol, listed := range r.scan.protocols {
		value := 0.0
		if listed {
			value = 1
		}
		r.result.Add(protocolInspected, value, string(protocol))
	}
}

// save writes the memory, at once if a violation began or ended.
func (r *run) save() {
	if !r.loaded || !r.urgent && r.now.Sub(r.saved) < saveEvery {
		return
	}
	r.saved = r.now
	_ = r.memory.Save() // the host counts failed writes, and a later run tries again
}
