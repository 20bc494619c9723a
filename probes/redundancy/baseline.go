package redundancy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/redundancy/group"
)

// record is what is remembered of one object. What there should be only grows by
// itself: the host cannot tell a removal that was meant from one that was not.
// Instants are in seconds since the epoch, 0 for never.
type record struct {
	ID       string `json:"id,omitempty"`
	Members  int    `json:"members"`
	Names    string `json:"names,omitempty"` // identity and name of each member when all were there, by line
	Design   int    `json:"design,omitempty"`
	Spares   int    `json:"spares,omitempty"`
	Current  string `json:"current,omitempty"`
	Failover int64  `json:"failover,omitempty"`
	Degraded int64  `json:"degraded,omitempty"`
	Percent  int    `json:"percent,omitempty"`
	Progress int64  `json:"progress,omitempty"`
}

// learn takes in what the group shows now and what the configuration says.
func (r record) learn(g *group.Group, e Expect) record {
	r.ID = cmp.Or(g.ID, r.ID)
	r.Names = strings.Clone(r.Names)
	switch {
	case e.Members != nil:
		r.Members = *e.Members
	case g.Err == nil:
		r.Members = max(r.Members, g.Expected)
	}
	if g.Err != nil {
		return r
	}
	complete := g.Present() >= r.Members
	if complete {
		r.Names = names(g)
	}
	if e.Members != nil {
		r.Design = 0 // of what is expected now, and not of what once was
	}
	if g.Known {
		r.Design = max(r.Design, g.Design)
	}
	switch {
	case e.Spares != nil:
		r.Spares = *e.Spares
	case g.Failed == "" && g.Active() >= r.Members:
		// A disk that is about to be rebuilt onto is no spare that there should be.
		r.Spares = max(r.Spares, g.Spares)
	}
	return r
}

// design returns how many failures the object should survive.
func (r record) design(g *group.Group) int {
	if g.Needed > 0 {
		return max(0, r.Members-g.Needed)
	}
	return r.Design
}

// names encodes the members of a group.
func names(g *group.Group) string {
	var lines []string
	for _, m := range g.Members {
		if !m.Spare {
			lines = append(lines, line(m.ID)+"\t"+line(m.Name))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// line takes out what separates members.
func line(text string) string { return strings.NewReplacer("\n", " ", "\t", " ").Replace(text) }

// absent returns the names of n members that were there and are not now. Of
// those that nobody has ever seen, there is no name.
func (r record) absent(g *group.Group, n int) (absent []string) {
	if n <= 0 || r.Names == "" {
		return nil
	}
	for entry := range strings.SplitSeq(r.Names, "\n") {
		id, name, _ := strings.Cut(entry, "\t")
		there := slices.ContainsFunc(g.Members, func(m group.Member) bool { return line(m.ID) == id || line(m.Name) == name })
		if !there && len(absent) < n {
			absent = append(absent, name)
		}
	}
	return absent
}

// watch takes in what changes from run to run.
func (r record) watch(g *group.Group, v verdict, now time.Time) (next record, failedOver bool) {
	if g.Current != "" {
		if failedOver = r.Current != "" && r.Current != g.Current; failedOver {
			r.Failover = now.Unix()
		}
		r.Current = g.Current
	}
	switch {
	case v.state == unknown && !v.known: // nothing is known, and nothing changes
	case !v.degraded():
		r.Degraded, r.Progress, r.Percent = 0, 0, 0
	case r.Degraded == 0:
		r.Degraded = now.Unix()
	}
	if percent := int(g.Sync.Ratio * 100); g.Sync.Rebuilding && g.Sync.HasRatio && v.degraded() && (r.Progress == 0 || percent != r.Percent) {
		r.Progress, r.Percent = now.Unix(), percent
	}
	return r, failedOver
}
