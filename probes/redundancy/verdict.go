package redundancy

import (
	"slices"

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
	shared    []group.Domain // those whose failure alone takes down what members would survive
	built     bool           // all members are active, and only what they share makes it weak
}

// judge measures a group by what is remembered of it.
func judge(g *group.Group, r record) verdict {
	v := verdict{
		expected: r.Members, active: g.Active(), missing: max(0, r.Members-g.Present()),
		known: g.Known, tolerated: g.Tolerated, design: r.design(),
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
	whole := v.known && v.active >= v.expected && v.tolerated >= v.design
	v.share(g)
	v.built = whole && v.tolerated < v.design
	v.state = v.of(g)
	return v
}

// share takes in what members fail together.
func (v *verdict) share(g *group.Group) {
	if !v.known || v.tolerated < 1 {
		return
	}
	by := v.tolerated
	for _, domain := range group.Domains() {
		n := survives(g, domain, by)
		v.tolerated = min(v.tolerated, n)
		if n == 0 || domain == group.Disk && n < by {
			v.shared = append(v.shared, domain)
		}
	}
}

// survives returns how many domains of a kind may fail, when so many members may:
// those with the most members fail first. A member whose domain is not known is
// on its own.
func survives(g *group.Group, domain group.Domain, members int) (n int) {
	sizes := map[string]int{}
	alone := 0
	for _, m := range g.Members {
		switch name := m.Domains[domain]; {
		case !m.Active || m.Spare:
		case name == "":
			alone++
		default:
			sizes[name]++
		}
	}
	all := slices.Repeat([]int{1}, alone)
	for _, size := range sizes {
		all = append(all, size)
	}
	slices.Sort(all)
	slices.Reverse(all)
	for _, size := range all {
		if members -= size; members < 0 {
			return n
		}
		n++
	}
	return n + max(0, members)
}

// degraded reports whether less is survived than once was or should be. What
// was built weak is not degraded.
func (v verdict) degraded() bool {
	return v.known && v.tolerated < v.design && !v.built || v.state == failed
}

// of returns the state: the worst of what is true.
func (v verdict) of(g *group.Group) string {
	switch {
	case !v.known:
		return unknown
	case v.tolerated < 0:
		return failed
	case v.tolerated < v.design && g.Sync.Rebuilding:
		return rebuilding
	case v.tolerated < v.design && v.tolerated == 0 && !v.built:
		return lost
	case v.tolerated < v.design && v.tolerated > 0:
		return reduced
	case g.Doubt != nil:
		return unknown
	case v.tolerated == 0:
		return none
	case g.Sync.Confirming:
		return rebuilding
	}
	return redundant
}
