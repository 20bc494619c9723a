package smartarray

import (
	"strings"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

func (c *controller) groups() []group.Group {
	whole := raid.Controller{Protected: c.protected, State: c.state, Condition: raid.Optimal}
	switch c.state {
	case "OK", "":
	case "Failed", "General Failure", "Lockup":
		whole.Condition = raid.Broken
	default:
		whole.Condition = raid.Odd
	}
	for _, d := range c.disks {
		whole.Disks = append(whole.Disks, c.assigned(d, nil))
	}
	g := group.Group{Kind: group.SmartArray, Name: c.name}
	whole.Fill(&g)
	g.Spares = 0 // all belong to an array
	groups := []group.Group{g}
	for _, a := range c.arrays {
		for _, v := range a.volumes {
			groups = append(groups, c.volume(a, v))
		}
	}
	for _, p := range c.power {
		groups = append(groups, c.supplies(p[0], p[1]))
	}
	return groups
}

// assigned returns a disk with the role that it has, in an array or in none. A
// disk in order has the role that its place gives it.
func (c *controller) assigned(d *raid.Disk, in *array) raid.Disk {
	disk := *d
	if disk.Role == raid.Strange && working(disk.State) {
		disk.Role = raid.Active
		if in == nil {
			disk.Role = raid.Idle
		}
	}
	return disk
}

func (c *controller) volume(a *array, v *volume) group.Group {
	for _, d := range a.disks {
		v.Disks = append(v.Disks, c.assigned(d, a))
		if d.Role != raid.Spare && !strings.Contains(d.State, activeSpare) {
			v.Expected++
		}
	}
	v.Condition = condition(v.State)
	g := group.Group{Kind: group.SmartArray, Name: c.name + "/ld" + v.id}
	v.Fill(&g)
	if strings.HasPrefix(a.state, "Failed") && v.Condition != raid.Broken {
		g.Note("The array %s is %q, which its volume does not say.", a.name, a.state)
	}
	if lower := strings.ToLower(v.State); strings.Contains(lower, "recovering") || strings.Contains(lower, "rebuilding") {
		g.Sync.Rebuilding = true
		g.Sync.Ratio, g.Sync.HasRatio = raid.Percent(v.State)
	}
	g.Sync.Confirming = v.confirming
	g.Scrub = group.Scrub{Possible: !v.scanned.IsZero(), Last: v.scanned}
	return g
}

// supplies describes the power supplies of an enclosure, of which the
// controller says only whether one may fail.
func (c *controller) supplies(enclosure, state string) group.Group {
	g := group.Group{Kind: group.Power, Name: c.name + "/" + enclosure, Known: true}
	switch state {
	case "Redundant":
		g.Tolerated, g.Design, g.Expected = 1, 1, 2
		g.Members = []group.Member{{Name: "supply 1", Active: true, State: state}, {Name: "supply 2", Active: true, State: state}}
	case "Not Redundant", "Non-Redundant":
		g.Expected = 1
		g.Members = []group.Member{{Name: "supply 1", Active: true, State: state}}
	default:
		g.Unclear(group.Word("the state of the power supplies", state))
	}
	return g
}

// condition knows the states of logical drives of the "HPE Smart Storage
// Administrator" guide.
func condition(state string) raid.Condition {
	word, _, _ := strings.Cut(state, ",")
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "ok", "expanding", "queued for expansion", "transforming", "queued for transformation", "waiting for transformation",
		"erase complete reenabled", "parity initialization in progress":
		return raid.Optimal
	case "recovering", "rebuilding", "ready for rebuild", "waiting for rebuild", "ready for recovery", "queued for recovery",
		"queued for rebuild", "interim recovery mode", "interim recovery", "wrong drive replaced", "wrong physical drive was replaced",
		"media errors", "predictive failure":
		return raid.Degraded
	case "failed", "disabled", "disabled from scsi id conflict", "loose cabling", "drive improperly connected", "not available",
		"unusable", "overheated", "overheating", "hardware has overheated", "erase in progress", "erasing", "not configured",
		"has never been configured", "unrecoverable error":
		return raid.Broken
	}
	return raid.Odd
}

// take records what the tool says of a disk. What is in order, and what is
// expected to fail and still works, gets its role from its place.
func take(d *raid.Disk, state string) {
	d.State = state
	word, _, _ := strings.Cut(strings.ToLower(state), ",")
	switch {
	case working(word):
	case word == "rebuilding", word == "queued for rebuild", word == "waiting for rebuild":
		d.Role = raid.Rebuilding
	case word == "failed", word == "offline", word == "missing", word == "not available", word == "not responding",
		strings.HasPrefix(word, "wrong"):
		d.Role = raid.Failed
	case strings.HasPrefix(word, "eras"), word == "starting", word == "unsupported":
		d.Role = raid.Idle
	default:
		d.Role = raid.Strange
	}
}

// working reports whether a disk does its part.
func working(state string) bool {
	switch strings.ToLower(state) {
	case "ok", "predictive failure", "ssd wearout":
		return true
	}
	return false
}
