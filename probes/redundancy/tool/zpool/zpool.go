// Package zpool reads what "zpool status" says of ZFS pools, as JSON and, for
// releases before 2.3, as text.
package zpool

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/redundancy/group"
)

// A pool is what both forms say.
type pool struct {
	name, guid, state, status string
	tops                      []vdev // with data: normal, special and dedup
	logs                      []vdev
	spares                    []vdev
	scan                      scan
	errors                    float64 // data that is lost for good
}

// A vdev is a virtual device: a disk, or what is made of others.
type vdev struct {
	name, guid, state, note string
	errors                  float64
	children                []vdev
}

// scan is the last scrub or resilver.
type scan struct {
	resilver bool
	running  bool
	ratio    float64
	hasRatio bool
	ended    time.Time // of a scrub; zero if none has ended
	errors   float64
	counted  bool // errors is known
}

// group describes what lies on the data of a pool.
func (p *pool) group() group.Group {
	g := group.Group{Kind: group.ZFS, Name: p.name, ID: p.guid}
	g.Note("The state of the pool is %s.", p.state)
	if p.status != "" {
		g.Note("%s", p.status)
	}
	p.fill(&g, p.tops)
	for _, s := range p.spares {
		switch s.state {
		case "AVAIL":
			g.Spares++
			g.Members = append(g.Members, group.Member{ID: s.guid, Name: s.name, Spare: true, State: s.state})
		case "INUSE", "UNAVAIL", "FAULTED", "REMOVED", "OFFLINE", "CANT_OPEN": // no spare any more
		default:
			g.Unclear(group.Word("the state of the spare "+s.name, s.state))
		}
	}
	switch p.state {
	case "ONLINE", "DEGRADED":
	case "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "SUSPENDED":
		g.Failed = "the state of the pool is " + p.state
		g.Tolerated = min(g.Tolerated, -1) // whatever its devices say
	default:
		g.Unclear(group.Word("the state of the pool", p.state))
	}
	g.Sync.Rebuilding = p.scan.running && p.scan.resilver
	g.Sync.Scrubbing = p.scan.running && !p.scan.resilver
	g.Sync.Ratio, g.Sync.HasRatio = p.scan.ratio, p.scan.hasRatio && p.scan.running
	g.Scrub = group.Scrub{Possible: true, Last: p.scan.ended, Counted: p.scan.counted, Errors: p.scan.errors}
	if p.errors > 0 {
		g.Note("%g files or objects are damaged for good; zpool status -v lists them.", p.errors)
		g.Scrub.Counted, g.Scrub.Errors = true, max(g.Scrub.Errors, p.errors)
	}
	return g
}

// log describes the devices of the intent log, which hold the last writes of a
// host that crashes. The state of the pool does not tell when one of them fails.
func (p *pool) log() group.Group {
	g := group.Group{Kind: group.ZFS, Name: p.name + "/log"}
	if p.guid != "" {
		g.ID = p.guid + "/log"
	}
	p.fill(&g, p.logs)
	return g
}

// fill adds the members of top-level devices and what they survive: as much as
// the one that survives least, because data lies on all of them.
func (p *pool) fill(g *group.Group, tops []vdev) {
	for i, top := range tops {
		now, design := p.tolerated(g, top)
		if i == 0 || now < g.Tolerated {
			g.Tolerated = now
		}
		if i == 0 || design < g.Design {
			g.Design = design
		}
	}
	g.Known = len(tops) > 0
	if g.Known && g.Tolerated < 0 {
		g.Failed = "more devices have failed than it survives"
	}
}

var parity = regexp.MustCompile(`^(?:raidz|draid)([123])?(?:[-:]|$)`)

// tolerated returns what a top-level device survives, now and by design, and
// adds its members to the group.
func (p *pool) tolerated(g *group.Group, top vdev) (now, design int) {
	if len(top.children) == 0 {
		return p.units(g, []vdev{top}) - 1, 0
	}
	name := strings.ToLower(top.name)
	active := p.units(g, top.children)
	n := len(top.children)
	if m := parity.FindStringSubmatch(name); m != nil {
		design = 1
		if m[1] != "" {
			design, _ = strconv.Atoi(m[1])
		}
		return design - (n - active), design
	}
	switch {
	case strings.HasPrefix(name, "mirror"):
		return active - 1, n - 1
	case transient(name): // a single disk that is being replaced
		return min(0, active-1), 0
	}
	g.Unclear(group.Word("the kind of the device", top.name))
	return 0, 0
}

// transient reports whether a device stands for one disk, of which it holds the
// old and the new one.
func transient(name string) bool {
	return strings.HasPrefix(name, "replacing") || strings.HasPrefix(name, "spare")
}

// units counts the devices that hold current data, and adds all as members.
func (p *pool) units(g *group.Group, devices []vdev) (active int) {
	for _, d := range devices {
		whole := false
		if transient(strings.ToLower(d.name)) && len(d.children) > 0 {
			whole = p.whole(g, d)
		} else {
			whole = p.leaf(g, d)
		}
		g.Expected++
		if whole {
			active++
		}
	}
	return active
}

// whole reports whether one of the disks in the place of one has all data. A new
// one has not while the pool resilvers.
func (p *pool) whole(g *group.Group, d vdev) bool {
	best := d.children[0]
	for i, c := range d.children {
		usable := healthy(c.state) && (i == 0 || !p.scan.running || !p.scan.resilver)
		if !healthy(best.state) && usable {
			best = c
		}
		if i > 0 && healthy(c.state) {
			g.Note("%s takes the place of %s, which is %s.", c.name, d.children[0].name, d.children[0].state)
		}
	}
	return p.leaf(g, best)
}

func healthy(state string) bool { return state == "ONLINE" || state == "HEALTHY" }

// leaf adds a disk as a member.
func (p *pool) leaf(g *group.Group, d vdev) bool {
	m := group.Member{ID: d.guid, Name: d.name, State: strings.TrimSpace(d.state + " " + d.note), Errors: new(d.errors)}
	switch d.state {
	case "ONLINE", "HEALTHY":
		// A new disk in a mirror is online before it has all data.
		m.Active = !p.scan.running || !p.scan.resilver || !strings.Contains(d.note, "resilvering")
	case "DEGRADED", "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "CANT_OPEN", "CLOSED":
	default:
		g.Unclear(group.Word("the state of "+d.name, d.state))
	}
	g.Members = append(g.Members, m)
	return m.Active
}

// groups returns what a list of pools stands for.
func groups(pools []pool) (all []group.Group) {
	for _, p := range pools {
		if p.name == "" {
			continue // nothing has this name
		}
		all = append(all, p.group())
		if len(p.logs) > 0 {
			all = append(all, p.log())
		}
	}
	return all
}

// count reads a number that may be cut short: "1.2K".
func count(text string) (float64, error) {
	factor := 1.0
	if text != "" {
		if i := strings.IndexByte("KMGTPE", text[len(text)-1]); i >= 0 {
			for range i + 1 {
				factor *= 1024
			}
			text = text[:len(text)-1]
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%.20q is no number", text)
	}
	return n * factor, nil
}
