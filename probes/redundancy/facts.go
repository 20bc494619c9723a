package redundancy

import (
	"maps"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

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

// at adds an instant in seconds since the epoch; 0 is none.
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
	if g.Scrub.Counted {
		f.add(scrubErrors, g.Scrub.Errors)
	}
	if g.WriteCache != nil {
		f.add(writeCache, truth(*g.WriteCache))
	}
	for _, domain := range v.shared {
		f.add(sharedDomain, 1, string(domain))
	}
	if g.Doubt != nil {
		f.add(unverifiable, 1, string(probes.ReasonOf(g.Doubt)))
	}
	if !g.Observed.IsZero() {
		f.at(observed, g.Observed.Unix())
	}
	f.members(g, r, v)
}

// pool adds how full the parts of a pool are, and may be.
func (f facts) pool(g *group.Group, limit float64) {
	for _, part := range slices.Sorted(maps.Keys(g.Used)) {
		f.add(poolUsed, g.Used[part], part)
		f.add(poolLimit, limit, part)
	}
}

// members adds what is known of each member, there or not.
func (f facts) members(g *group.Group, r record, v verdict) {
	seen, counted := map[string]bool{}, map[string]bool{}
	for _, m := range g.Members {
		if !m.Spare && !seen[m.Name] {
			seen[m.Name] = true
			f.add(memberActive, truth(m.Active), m.Name)
		}
		if m.Errors != nil && !counted[m.Name] {
			counted[m.Name] = true
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
func (f facts) times(r record, c *Config, first time.Time) {
	f.at(lastFailover, r.Failover)
	f.at(degradedSince, r.Degraded)
	if r.Degraded != 0 {
		f.at(repairDeadline, max(r.Degraded, r.Progress)+seconds(c.Repair))
	}
	if r.Progress != 0 {
		f.at(syncProgress, r.Progress)
		f.at(syncDeadline, r.Progress+seconds(c.Stall))
	}
	f.at(baselineRecorded, first.Unix())
	f.at(lastScrub, r.Scrub)
}

func seconds(d probes.Duration) int64 { return int64(time.Duration(d) / time.Second) }
