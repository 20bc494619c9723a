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
	ID      string `json:"id,omitempty"`
	Members int    `json:"members"`
	Empty   int    `json:"empty,omitempty"`  // members that the system expects and nobody else does
	Names   string `json:"names,omitempty"`  // identity and name of each member when all were there, by line
	Needed  int    `json:"needed,omitempty"` // members without which it does not work; 0 where Design says what is survived
	Design  int    `json:"design,omitempty"`
	Bound   int    `json:"bound,omitempty"` // the most that what members share let survive
	Spares  int    `json:"spares,omitempty"`

	Seen     bool   `json:"seen,omitempty"`  // is understood
	Known    bool   `json:"known,omitempty"` // was before
	Current  string `json:"current,omitempty"`
	Whole    bool   `json:"whole,omitempty"` // was whole since it was first seen
	Down     string `json:"down,omitempty"`  // members that were lost while it worked
	Failover int64  `json:"failover,omitempty"`
	Degraded int64  `json:"degraded,omitempty"`

	Part     int   `json:"part,omitempty"` // of a rebuild, in ten thousandths
	Progress int64 `json:"progress,omitempty"`

	Scrub     int64 `json:"scrub,omitempty"`
	Scrubbing bool  `json:"scrubbing,omitempty"`
	Scrubbed  bool  `json:"scrubbed,omitempty"` // the last that was done was a scrub
	Checked   int   `json:"checked,omitempty"`  // of a running scrub, in ten thousandths
	Scrubs    int   `json:"scrubs,omitempty"`   // that the system has counted
}

// learn takes in what the group shows now and what the configuration says.
func (r record) learn(g *group.Group, e Expect) record {
	r.ID = cmp.Or(g.ID, r.ID)
	r.Names = strings.Clone(r.Names)
	switch {
	case e.Members != nil:
		r.Members, r.Empty = *e.Members, max(0, g.Expected-*e.Members)
	case g.Err == nil:
		r.Empty = max(0, min(r.Empty, g.Expected-g.Present()))
		r.Members = max(r.Members, g.Expected-r.Empty)
	}
	if g.Err != nil {
		return r
	}
	if g.Present() >= r.Members {
		r.Names = names(g)
	}
	r.Needed, r.Seen = g.Needed, true
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
	if g.Active() >= r.Members && g.Failed == "" {
		r.Bound = max(r.Bound, bound(g, r.counted()))
	}
	return r
}

// counted returns how many failures the object should survive, by the number of
// its members. Of one that was never seen, one member is taken to be enough.
func (r record) counted() int {
	switch {
	case r.Needed > 0:
		return max(0, r.Members-r.Needed)
	case !r.Seen:
		return max(0, r.Members-1)
	}
	return max(0, r.Design-r.Empty)
}

// design returns how many failures the object should survive. Where everything
// always shared something, that is no measure.
func (r record) design() int {
	if r.Bound > 0 {
		return min(r.counted(), r.Bound)
	}
	return r.counted()
}

// bound returns how many failures of adapters and targets are survived where so
// many of members are.
func bound(g *group.Group, members int) int {
	return min(survives(g, group.Adapter, members), survives(g, group.Target, members))
}

// accept takes what the group shows for what there should be.
func (r record) accept(g *group.Group) record {
	r.Members, r.Empty = g.Present(), max(0, g.Expected-g.Present())
	r.Names, r.Spares, r.Bound, r.Design = names(g), g.Spares, 0, 0
	return r.learn(g, Expect{})
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
		there := slices.ContainsFunc(g.Members, func(m group.Member) bool {
			return !m.Spare && (id != "" && line(m.ID) == id || line(m.Name) == name)
		})
		if !there && len(absent) < n {
			absent = append(absent, name)
		}
	}
	return absent
}

// watch takes in what changes from run to run. It returns what a failover went
// from and to, if it has just seen one: another member is in use, or a member
// that was lost while the group worked is back.
func (r record) watch(g *group.Group, v verdict, now time.Time) (next record, from, to string) {
	if g.Err != nil || v.state == unknown && !v.known {
		return r, "", "" // nothing is known, and nothing changes
	}
	if g.Current != "" {
		if r.Current != "" && !overlap(r.Current, g.Current) {
			from, to = r.Current, g.Current
		}
		r.Current = g.Current
	}
	switch {
	case v.state == failed:
		r.Down, r.Whole = "", false
	case v.degraded() && r.Whole:
		r.Down = cmp.Or(r.Down, strings.Join(r.inactive(g, v), ", "), "a member")
	case !v.degraded():
		if r.Down != "" && from == "" {
			from, to = r.Down, cmp.Or(g.Current, g.Object())
		}
		r.Down, r.Whole = "", true
	}
	if from != "" {
		r.Failover = now.Unix()
	}
	switch {
	case !v.degraded():
		r.Degraded = 0
	case r.Degraded == 0:
		r.Degraded = now.Unix()
	}
	r = r.progress(g, v, now).scrub(g, now)
	r.Known = true
	return r, from, to
}

// overlap reports whether two lists of members in use have one in common. A list
// that grows or shrinks is no failover.
func overlap(a, b string) bool {
	in := strings.Fields(b)
	return slices.ContainsFunc(strings.Fields(a), func(member string) bool { return slices.Contains(in, member) })
}

// inactive returns the names of the members that do not do their part.
func (r record) inactive(g *group.Group, v verdict) (names []string) {
	for _, m := range g.Members {
		if !m.Active && !m.Spare {
			names = append(names, m.Name)
		}
	}
	return append(names, r.absent(g, v.missing)...)
}

// progress takes in how far a rebuild is.
func (r record) progress(g *group.Group, v verdict, now time.Time) record {
	if !v.degraded() || !g.Sync.Rebuilding || !g.Sync.HasRatio {
		if !v.degraded() || !g.Sync.Rebuilding {
			r.Part, r.Progress = 0, 0
		}
		return r
	}
	if part := int(g.Sync.Ratio * 10_000); r.Progress == 0 || part != r.Part {
		r.Part, r.Progress = part, now.Unix()
	}
	return r
}

// nearly is how much of a scrub must have been seen done, in ten thousandths, for
// one that is over to be taken for whole where the system does not say it.
const nearly = 9000

// scrub takes in the end of a scrub. Most systems do not date it: the agent has
// seen one run and end, or that one ended between two looks, or that one more is
// counted.
func (r record) scrub(g *group.Group, now time.Time) record {
	ended := g.Scrub.Ended && (r.Scrubbing || r.Known && !r.Scrubbed)
	watched := g.Scrub.Watched && r.Scrubbing && !g.Sync.Scrubbing && r.Checked >= nearly
	counted := r.Scrubs > 0 && g.Scrub.Count > r.Scrubs
	if ended || watched || counted {
		r.Scrub = now.Unix()
	}
	// Where it counts, a date that is not followed by one more is that of a start.
	if last := g.Scrub.Last; !last.IsZero() && (g.Scrub.Count == 0 || r.Scrubs == 0) {
		r.Scrub = max(r.Scrub, last.Unix())
	}
	r.Scrubs = cmp.Or(g.Scrub.Count, r.Scrubs)
	r.Scrubbing, r.Scrubbed, r.Checked = g.Sync.Scrubbing, g.Scrub.Ended, 0
	if g.Sync.Scrubbing && g.Sync.HasRatio {
		r.Checked = int(g.Sync.Ratio * 10_000)
	}
	return r
}
