// Package group is the one model of everything that is redundant: members that
// do the same work, of which some may fail. Readers of md, bonds, paths and file
// systems fill it in; it says nothing about what was there yesterday.
package group

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"hygiene_exporter/probes"
)

// The kinds of group. They begin the name of an object.
const (
	MDRaid    = "mdraid"
	Bond      = "bond"
	Team      = "team"
	NVMe      = "nvme"
	Multipath = "multipath"
	FC        = "fc"
	FCTarget  = "fc-target"
	ISCSI     = "iscsi"
	Btrfs     = "btrfs"
	ZFS       = "zfs"
	Bcachefs  = "bcachefs"
	Enclosure = "enclosure"
	IB        = "infiniband"
	Route     = "route"
	DNS       = "dns"
	Time      = "time"
	// What only tools tell.
	LVM        = "lvm"
	DRBD       = "drbd"
	MegaRAID   = "megaraid"
	SmartArray = "smartarray"
	Adaptec    = "adaptec"
	ThreeWare  = "3ware"
	LSI        = "lsi"
	Areca      = "areca"
	Power      = "power"
	Fan        = "fan"
)

// Kinds lists all kinds.
func Kinds() []string {
	return []string{
		MDRaid, Bond, Team, NVMe, Multipath, FC, FCTarget, ISCSI, Btrfs, ZFS, Bcachefs, Enclosure, IB, Route, DNS, Time,
		LVM, DRBD, MegaRAID, SmartArray, Adaptec, ThreeWare, LSI, Areca, Power, Fan,
	}
}

// A Group is one redundant thing as the host shows it now.
type Group struct {
	Kind string
	Name string
	ID   string // what stays when the group gets another name; may be empty

	Members  []Member
	Expected int // members that the system itself says there should be
	Spares   int // members that stand by to replace a failed one

	// Needed is the number of members without which the group does not work.
	// Above 0, what is tolerated follows from counting. At 0, Tolerated and
	// Design say it, if Known.
	Needed    int
	Known     bool
	Tolerated int // failures survived from now on in the worst case; below 0: failed
	Design    int // the same with all members in order

	Failed string // why the group does not work at all; empty if it does
	Doubt  error  // why what is said here may be too good, with a reason
	Err    error  // why nothing is known of the group, with a reason

	// Ordinary says that a group of one member is nothing special, such as a
	// host with one default route: it is reported only if there should be more.
	Ordinary bool

	// Partial says that the kernel tells only a part of what a tool knows, so
	// that the reading of a tool goes before this one.
	Partial bool

	Sync       Sync
	Scrub      Scrub
	Current    string             // the member in use where only one is; a change is a failover
	WriteCache *bool              // whether what is cached survives a loss of power; nil: no cache, or unknown
	Observed   time.Time          // when a tool said this; zero for what is read in every run
	Used       map[string]float64 // how full the parts of a pool are, from 0 to 1
	Notes      []string
}

// A Member is one part of a group.
type Member struct {
	ID     string // what stays when the member gets another name
	Name   string
	Active bool // does its part, and its data are current
	Spare  bool // stands by; counts neither as expected nor as active
	Errors *float64
	State  string // the words of the system

	// Domains holds what the member shares with others of the same value, so
	// that it fails with them, by what it is. Empty values are not known.
	Domains map[Domain]string
}

// A Domain is something that members may share and that can fail for all of
// them.
type Domain string

// The domains. Two members on one disk are a mistake; two on one adapter or
// behind one port of a storage system are often what was bought.
const (
	Disk    Domain = "disk"
	Adapter Domain = "adapter" // a host bus adapter or network card
	Target  Domain = "target"  // a port of the storage system
)

// Domains lists all domains.
func Domains() []Domain { return []Domain{Disk, Adapter, Target} }

// Scrub is what is known of reading everything to find what has rotted.
type Scrub struct {
	Possible bool      // such groups can be scrubbed, so that there is a deadline
	Last     time.Time // end of the last whole one; zero if the system does not keep it
	Ended    bool      // the last thing that the system did was a scrub, to its end
	Watched  bool      // the system keeps nothing of a scrub that is over: only who saw it run knows of it
	Count    int       // whole ones that the system has counted; 0: it does not count
	Counted  bool      // Errors is the result of a scrub
	Errors   float64
}

// Sync is what a group does to its members' data.
type Sync struct {
	Rebuilding bool // a member is made current
	Confirming bool // what members hold is made consistent, such as after a crash
	Scrubbing  bool // members are compared
	HasRatio   bool
	Ratio      float64
}

// Object returns the name under which the group is reported.
func (g *Group) Object() string { return g.Kind + "/" + g.Name }

// Active returns the number of members that do their part.
func (g *Group) Active() int { return g.count(func(m Member) bool { return m.Active && !m.Spare }) }

// Present returns the number of members that are there, working or not.
func (g *Group) Present() int { return g.count(func(m Member) bool { return !m.Spare }) }

func (g *Group) count(which func(Member) bool) (n int) {
	for _, m := range g.Members {
		if which(m) {
			n++
		}
	}
	return n
}

// Note adds a sentence for a person who asks why.
func (g *Group) Note(format string, args ...any) {
	g.Notes = append(g.Notes, fmt.Sprintf(format, args...))
}

// Unclear records that nothing can be said of the group: the system said
// something that is not understood, or could not be asked.
func (g *Group) Unclear(err error) { g.Err = errors.Join(g.Err, err) }

// Doubted records why what is said may be too good.
func (g *Group) Doubted(reason probes.Reason, format string, args ...any) {
	if g.Doubt == nil {
		g.Doubt = probes.Because(reason, fmt.Errorf(format, args...))
	}
}

// In returns the domain map of a member that lies in one domain only.
func In(domain Domain, name string) map[Domain]string {
	if name == "" {
		return nil
	}
	return map[Domain]string{domain: name}
}

// Refined returns what is known of a group of which the kernel told a part and a
// tool the rest. What the kernel says of its failure now is newer than the tool;
// without an answer of the tool, what the kernel says is doubted for its reason.
func (g Group) Refined(by Group) Group {
	if by.Err != nil {
		if g.Err == nil {
			g.Doubt = by.Err
		}
		return g
	}
	if g.Failed != "" && by.Failed == "" {
		by.Failed = g.Failed
	}
	if g.Known && by.Known && g.Tolerated < by.Tolerated {
		by.Tolerated = g.Tolerated
	}
	by.Members = slices.Clone(by.Members)
	if len(g.Members) > 0 { // what the kernel lists is all that there is now
		by.Members = slices.DeleteFunc(by.Members, func(m Member) bool {
			return !slices.ContainsFunc(g.Members, func(now Member) bool { return now.Name == m.Name })
		})
	}
	for i, m := range by.Members {
		for _, now := range g.Members {
			if now.Name == m.Name && m.Active && !now.Active {
				by.Members[i].Active, by.Members[i].State = false, cmp.Or(now.State, "down")
			}
		}
	}
	by.ID = cmp.Or(by.ID, g.ID)
	by.Notes = append(slices.Clone(g.Notes), by.Notes...)
	return by
}

// Sort brings the members into the order of their names.
func (g *Group) Sort() {
	slices.SortStableFunc(g.Members, func(a, b Member) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
}

// A Reading is all groups of some kinds.
type Reading struct {
	Groups []Group
	// Closed holds the kinds that could not be listed, and why. Nothing can be
	// said of groups of these kinds that are not in Groups.
	Closed map[string]error
}

// Close records that a kind could not be listed.
func (r *Reading) Close(kind string, err error) {
	if r.Closed == nil {
		r.Closed = map[string]error{}
	}
	r.Closed[kind] = err
}

// Word is an error about a word of the system that is not understood.
func Word(what, word string) error {
	return probes.Because(probes.Malformed, fmt.Errorf("%s is %.40q, which is not understood", what, word))
}
