package raid

import (
	"hygiene_exporter/probes/redundancy/group"
)

// A Role is the part that a disk has.
type Role int

// The roles. The zero value is that of a disk of which nothing is understood.
const (
	Strange    Role = iota
	Active          // holds current data of a volume
	Rebuilding      // will do so
	Failed          // belongs to a volume, or did, and does not work
	Absent          // a place in a volume without a disk
	Spare           // stands by
	Idle            // is in no volume, and works
	Foreign         // belongs to a volume of another controller
)

// A Disk is a physical disk as a tool lists it.
type Disk struct {
	ID    string // what stays when it is moved, such as a serial number; may be empty
	Name  string // where it is
	State string // the words of the tool
	Role  Role
	Span  int // of the volume, for levels that stripe over several
}

// A Condition is what a tool says of a volume as a whole.
type Condition int

// The conditions. The zero value is one that is not understood.
const (
	Odd      Condition = iota
	Optimal            // has all its redundancy
	Degraded           // has less than it should
	Partial            // has less than it should, and still some
	Broken             // does not work
)

// A Volume is a RAID volume. Its level and its disks say what it survives, and
// its condition corrects that where the tool knows of something worse.
type Volume struct {
	Level     string // as the tool writes it
	Condition Condition
	State     string // the words of the tool
	Disks     []Disk
	Expected  int // disks that it should have; 0: those that are listed
}

// Fill describes the volume in a group, whose kind and name are set.
func (v Volume) Fill(g *group.Group) {
	g.Note("The tool says of it: level %s, state %s.", v.Level, v.State)
	var strange error
	for _, d := range v.Disks {
		if d.Role == Strange && strange == nil {
			strange = group.Word("the state of disk "+d.Name, d.State)
		}
		if d.Role != Absent {
			g.Members = append(g.Members, d.member(d.Role == Active))
		}
		if d.Role == Spare {
			g.Spares++
		}
		g.Sync.Rebuilding = g.Sync.Rebuilding || d.Role == Rebuilding
	}
	g.Expected = v.Expected
	if g.Expected == 0 {
		for _, d := range v.Disks {
			if d.Role != Spare {
				g.Expected++
			}
		}
	}
	design, known := Design(v.Level)
	switch {
	case v.Condition == Odd:
		g.Unclear(group.Word("the state", v.State))
	case v.Condition == Broken:
		g.Known, g.Design, g.Failed = true, design, "the tool says that it is "+v.State
	case !known:
		g.Unclear(group.Word("the RAID level", v.Level))
	case strange != nil:
		g.Unclear(strange)
	}
	if g.Err == nil && g.Failed == "" {
		g.Known, g.Design, g.Tolerated = true, design, v.tolerated(design)
	}
}

// tolerated returns what a volume that works survives in the worst case.
func (v Volume) tolerated(design int) int {
	lost := v.lost()
	switch {
	case v.Condition == Optimal && lost == 0:
		return design
	case lost == 0 && v.Condition == Partial: // it does not say what it lost
		lost = 1
	case lost == 0:
		lost = design
	}
	// A volume that works has survived all that it lost, which happened to fall
	// well, and the next failure may be the wrong one.
	return max(0, design-lost)
}

// lost returns how many disks are not there in the span that has lost the most.
// Where a spare has taken the place of a disk, it is an active one.
func (v Volume) lost() (most int) {
	active, all, dead := 0, 0, map[int]int{}
	for _, d := range v.Disks {
		switch d.Role {
		case Active:
			active++
		case Spare, Idle:
			continue
		default:
			dead[d.Span]++
			most = max(most, dead[d.Span])
		}
		all++
	}
	expected := v.Expected
	if expected == 0 {
		expected = all
	}
	switch unlisted := expected - all; {
	case active >= expected:
		return 0
	case unlisted > 0: // nobody knows to which span they belonged
		most += unlisted
	}
	return most
}

func (d Disk) member(active bool) group.Member {
	return group.Member{ID: d.ID, Name: d.Name, Active: active, Spare: d.Role == Spare, State: d.State}
}

// A Controller is the disks of one controller and the protection of its cache.
// It is not redundant itself, but disks and spares can vanish from it.
type Controller struct {
	Disks     []Disk
	Protected *bool // whether what is in the write cache survives a power failure; nil: there is nothing to protect
	Condition Condition
	State     string
}

// Fill describes the controller in a group, whose kind and name are set.
func (c Controller) Fill(g *group.Group) {
	if c.State != "" {
		g.Note("The tool says of the controller: %s.", c.State)
	}
	g.Known, g.WriteCache = true, c.Protected
	for _, d := range c.Disks {
		switch d.Role {
		case Absent:
			continue
		case Strange:
			g.Unclear(group.Word("the state of disk "+d.Name, d.State))
		case Spare:
			g.Spares++
		}
		member := d.member(d.Role != Failed && d.Role != Foreign)
		member.Spare = false // all disks are members here: none of them may vanish
		g.Members = append(g.Members, member)
	}
	g.Expected = len(g.Members)
	switch c.Condition {
	case Broken:
		g.Failed = "the tool says that the controller is " + c.State
	case Odd:
		g.Unclear(group.Word("the state of the controller", c.State))
	}
}
