package mdraid

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// Group judges an array. It reports false for what is no array of its own: a
// container, which only holds the metadata of others, and an empty leftover.
func (r Raw) Group(name string) (group.Group, bool) {
	g := group.Group{Kind: group.MDRaid, Name: name, ID: r.UUID}
	level, state := r.Attr["level"], r.Attr["array_state"]
	if level == "container" || isContainer(r.Attr["metadata_version"]) || state == "clear" && len(r.Devices) == 0 {
		return g, false
	}
	a := array{Group: &g, level: level, current: map[int]bool{}, filled: map[int]bool{}}
	a.expect(r.Attr["raid_disks"])
	for _, device := range r.Devices {
		a.member(device)
	}
	a.empty(state)
	a.sync(r.Attr)
	switch state {
	case "inactive", "clear":
		g.Failed = "the array is not running: its state is " + state
	case "broken":
		g.Failed = "the array is broken: too many members are gone"
	case "clean", "active", "write-pending", "active-idle":
	case "readonly", "read-auto", "suspended":
		g.Note("The state of the array is %s.", state)
	default:
		g.Unclear(group.Word("array_state", state))
	}
	degraded := 0
	if text := r.Attr["degraded"]; text != "" {
		var err error
		if degraded, err = strconv.Atoi(text); err != nil {
			g.Unclear(group.Word("degraded", text))
		}
	}
	layout, _ := strconv.Atoi(r.Attr["layout"])
	a.tolerate(max(degraded, a.Expected-len(a.current)), layout)
	a.journal(r)
	a.weaken()
	return g, true
}

// isContainer reports whether metadata of an external format is a container's
// own, and not that of an array in a container.
func isContainer(version string) bool {
	format, external := strings.CutPrefix(version, "external:")
	return external && !strings.HasPrefix(format, "/") && !strings.HasPrefix(format, "-")
}

// array is what is known of an array while it is judged.
type array struct {
	*group.Group
	level     string
	current   map[int]bool // slots with a member whose data are current
	filled    map[int]bool // slots with a member
	patchy    int          // current members with blocks that they do not have
	journals  int
	rebuildOn string
}

// expect takes in how many members there should be. A reshape has "4 (3)": how
// many there will be and were, and until its end it needs all of both.
func (a *array) expect(disks string) {
	now, before, _ := strings.Cut(disks, " ")
	n, err := strconv.Atoi(now)
	switch {
	case err == nil && n > 0:
		a.Expected = n
	case disks != "" && disks != "0":
		a.Unclear(group.Word("raid_disks", disks))
	}
	if n, err := strconv.Atoi(strings.Trim(before, "()")); err == nil {
		a.Expected = max(a.Expected, n)
	}
}

// member takes in one device.
func (a *array) member(d Device) {
	words := strings.Split(d.Attr["state"], ",")
	has := func(word string) bool { return slices.Contains(words, word) }
	m := group.Member{ID: d.Name, Name: d.Name, State: d.Attr["state"], Domains: group.In(group.Disk, d.Disk)}
	if n, err := strconv.ParseFloat(d.Attr["errors"], 64); err == nil {
		m.Errors = &n
	}
	slot, err := strconv.Atoi(d.Attr["slot"])
	inSlot := err == nil
	switch {
	case has("journal"):
		m.Spare = true // it holds no data of its own
		if !has("faulty") {
			a.journals++
		}
	case !inSlot && has("faulty"):
		m.Spare = true // its slot is free for another; the free slot counts
		a.Note("Member %s has failed and is still attached.", d.Name)
	case !inSlot:
		m.Spare = true
		if has("spare") {
			a.Spares++
		}
	case has("faulty"), !has("in_sync"):
		m.Spare = a.current[slot] || has("replacement")
		a.filled[slot] = true
		if !has("faulty") {
			a.rebuildOn = d.Name
		}
	default:
		m.Active, m.Spare = true, a.current[slot]
		a.current[slot], a.filled[slot] = true, true
		if d.Attr["bad_blocks"] != "" {
			a.patchy++
			a.Note("Member %s lacks some blocks, see its bad_blocks.", d.Name)
		}
	}
	a.Members = append(a.Members, m)
}

// empty names the slots without a member. An array that is not running has not
// given slots yet.
func (a *array) empty(state string) {
	a.Sort()
	if state == "inactive" || state == "clear" {
		a.Spares = 0 // all members of an array that is not running look like spares
		return
	}
	for slot := range min(a.Expected, 1024) {
		if !a.filled[slot] && !a.striped() {
			a.Note("Slot %d has no member.", slot)
		}
	}
}

func (a *array) striped() bool { return a.level == "raid0" || a.level == "linear" }

// tolerate says what the array survives.
func (a *array) tolerate(degraded, layout int) {
	a.Known = true
	switch a.level {
	case "raid0", "linear":
		a.Tolerated, a.Design = 0, 0
	case "raid1", "multipath":
		a.Tolerated, a.Design = a.Expected-degraded-1, a.Expected-1
	case "raid4", "raid5":
		a.Tolerated, a.Design = 1-degraded, 1
	case "raid6":
		a.Tolerated, a.Design = 2-degraded, 2
	case "raid10":
		all := copies(layout, a.Expected)
		if all == nil {
			a.Known = false
			if a.Failed == "" {
				a.Unclear(probes.Because(probes.Malformed, fmt.Errorf("layout %#x of a raid10 of %d disks is not understood", layout, a.Expected)))
			}
			return
		}
		a.Tolerated = tolerance10(all, func(slot int) bool { return a.current[slot] })
		a.Design = len(all[0]) - 1
	case "faulty":
		a.Tolerated, a.Design = 0, 0
	case "":
		a.Known = false // not running, so that no personality is in charge
	default:
		a.Known = false
		a.Unclear(group.Word("level", a.level))
	}
}

// journal takes in the device that closes the write hole. Without it an array
// is not assembled any more.
func (a *array) journal(r Raw) {
	if r.Attr["consistency_policy"] == "journal" && a.journals == 0 && a.Known {
		a.Tolerated = min(a.Tolerated, 0)
		a.Note("The journal device is gone or has failed.")
	}
}

// weaken takes in blocks that a member does not have. It never turns what works
// into something that has failed.
func (a *array) weaken() {
	if a.Known && a.Tolerated > 0 {
		a.Tolerated = max(0, a.Tolerated-a.patchy)
	}
}

// sync takes in what the array does now.
func (a *array) sync(attr map[string]string) {
	switch action := attr["sync_action"]; action {
	case "recover":
		a.Sync.Rebuilding = attr["sync_completed"] != "delayed"
	case "resync":
		a.Sync.Confirming = true
	case "check", "repair":
		a.Sync.Scrubbing = true
	case "reshape":
		a.Note("The array is being reshaped.")
	case "idle", "frozen", "":
	default:
		a.Note("The array does something that is not understood: %.40q.", action)
	}
	if a.rebuildOn != "" && !a.Sync.Rebuilding {
		a.Note("Member %s is to be rebuilt, and this has not begun or waits.", a.rebuildOn)
	}
	done, all, _ := strings.Cut(attr["sync_completed"], " / ")
	if n, err := strconv.ParseFloat(done, 64); err == nil {
		if of, err := strconv.ParseFloat(all, 64); err == nil && of > 0 && n >= 0 {
			a.Sync.HasRatio, a.Sync.Ratio = true, min(1, n/of)
		}
	}
	a.scrub(attr)
}

// scrub takes in what is known of the last check. The kernel begins the next one
// at sync_min: behind one that was stopped, that is where it stopped.
func (a *array) scrub(attr map[string]string) {
	last := attr["last_sync_action"]
	checked := last == "check" || last == "repair"
	a.Scrub.Possible = !a.striped() && a.level != "faulty" && a.level != "multipath" && a.level != ""
	a.Scrub.Ended = checked && !a.Sync.Scrubbing && attr["sync_min"] == "0"
	// Swap on raid1 and raid10 makes differences that mean nothing; see md(4).
	if checked && slices.Contains([]string{"raid4", "raid5", "raid6"}, a.level) {
		if n, err := strconv.ParseFloat(attr["mismatch_cnt"], 64); err == nil && n >= 0 {
			a.Scrub.Counted, a.Scrub.Errors = true, n
		}
	}
}
