package redundancy

import (
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// verdict is what a group is, measured by what it should be.
type verdict struct {
	state     string
	expected  int
	active    int
	missing   int
	known     bool // whether tolerated is
	tolerated int
	design    int
}

// judge measures a group by what is remembered of it.
func judge(g *group.Group, r record) verdict {
	v := verdict{
		expected: r.Members, active: g.Active(), missing: max(0, r.Members-g.Present()),
		known: g.Known, tolerated: g.Tolerated, design: r.design(g),
	}
	if g.Needed > 0 {
		v.known, v.tolerated = true, g.Active()-g.Needed
	}
	if g.Failed != "" {
		v.known, v.tolerated = true, min(-1, v.tolerated)
	}
	if g.Err != nil {
		v.known = false
	}
	v.state = v.of(g)
	return v
}

// degraded reports whether less is survived than should be.
func (v verdict) degraded() bool { return v.known && v.tolerated < v.design || v.state == failed }

// of returns the state: the worst of what is true.
func (v verdict) of(g *group.Group) string {
	switch {
	case !v.known:
		return unknown
	case v.tolerated < 0:
		return failed
	case v.tolerated < v.design && g.Sync.Rebuilding:
		return rebuilding
	case v.tolerated < v.design && v.tolerated == 0:
		return lost
	case v.tolerated < v.design:
		return reduced
	case g.Doubt != nil:
		return unknown
	case v.design == 0:
		return none
	case g.Sync.Confirming:
		return rebuilding
	}
	return redundant
}

// facts adds samples of one object.
type facts struct {
	result *probes.Result
	object string
	kind   string
	owner  string
}

func (f facts) add(m *probes.Metric, value float64, more ...string) {
	f.result.Add(m, value, append([]string{f.object, f.kind, f.owner}, more...)...)
}

func (f facts) at(m *probes.Metric, seconds int64) {
	if seconds != 0 {
		f.add(m, float64(seconds))
	}
}

func (f facts) state(is string) {
	for _, s := range states() {
		f.add(state, truth(s == is), s)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// group adds what is known of a group that was understood.
func (f facts) group(g *group.Group, r record, v verdict) {
	f.state(v.state)
	f.add(membersExpected, float64(v.expected))
	f.add(membersActive, float64(v.active))
	f.add(membersMissing, float64(v.missing))
	f.add(sparesExpected, float64(r.Spares))
	f.add(sparesAvailable, float64(g.Spares))
	f.add(toleratedDesign, float64(v.design))
	if v.known {
		f.add(tolerated, float64(v.tolerated))
	}
	if g.Sync.HasRatio {
		f.add(syncRatio, g.Sync.Ratio)
	}
	if g.Scrubbed {
		f.add(scrubErrors, g.ScrubErrors)
	}
	if g.Domain != "" {
		f.add(sharedDomain, 1, g.Domain)
	}
	if g.Doubt != nil {
		f.add(unverifiable, 1, string(probes.ReasonOf(g.Doubt)))
	}
	f.members(g, r, v)
}

// members adds what is known of each member, there or not.
func (f facts) members(g *group.Group, r record, v verdict) {
	seen := map[string]bool{}
	for _, m := range g.Members {
		if seen[m.Name] {
			continue
		}
		seen[m.Name] = true
		if !m.Spare {
			f.add(memberActive, truth(m.Active), m.Name)
		}
		if m.Errors != nil {
			f.add(memberErrors, *m.Errors, m.Name)
		}
	}
	for _, name := range r.absent(g, v.missing) {
		if !seen[name] {
			seen[name] = true
			f.add(memberActive, 0, name)
		}
	}
}

// times adds the instants of a record.
func (f facts) times(r record, repair time.Duration) {
	f.at(lastFailover, r.Failover)
	f.at(degradedSince, r.Degraded)
	f.at(syncProgress, r.Progress)
	if r.Degraded != 0 {
		f.at(repairDeadline, max(r.Degraded, r.Progress)+int64(repair/time.Second))
	}
}
