// Package lvm reads what the device mapper says of LVM's RAID volumes, mirrors
// and thin pools, and what LVM says of the disks that they lie on.
package lvm

import (
	"fmt"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// maxLegs bounds how many legs a volume is believed to have; the kernel allows
// 253.
const maxLegs = 1000

// Parse reads what "dmsetup status" prints, and the JSON of lvs that tells on
// which devices the legs lie; what the kernel says of their disks goes before it.
// The latter two may be empty.
func Parse(status, report []byte, legs Legs) []group.Group {
	lies := parseReport(report)
	var groups []group.Group
	for line := range strings.Lines(string(status)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ": ")
		fields := strings.Fields(rest)
		if !ok || name == "" || len(fields) < 3 {
			continue
		}
		g := group.Group{Kind: group.LVM, Name: objectName(name)}
		args := fields[3:]
		switch fields[2] { // after the first sector and their number
		case "raid":
			parseRaid(&g, args)
		case "mirror":
			parseMirror(&g, args)
		case "thin-pool":
			g.Name = strings.TrimSuffix(g.Name, "-tpool") // the layer below the volume
			parsePool(&g, args)
		default:
			continue
		}
		lies.place(&g, legs)
		groups = append(groups, g)
	}
	return groups
}

// objectName turns the name of a device into that of a volume: LVM joins group
// and volume with a dash, and doubles the dashes in both.
func objectName(device string) string {
	for i := 0; i < len(device); i++ {
		if device[i] != '-' {
			continue
		}
		if i+1 < len(device) && device[i+1] == '-' {
			i++
			continue
		}
		vg, lv := device[:i], device[i+1:]
		return strings.ReplaceAll(vg, "--", "-") + "/" + strings.ReplaceAll(lv, "--", "-")
	}
	return device
}

func malformed(g *group.Group, what string) {
	g.Unclear(probes.Because(probes.Malformed, fmt.Errorf("the status of the device mapper has %s", what)))
}

// parseRaid reads "raid5_ls 3 AAA 100/100 idle 0 0 -"; see dm-raid in the
// documentation of the kernel.
func parseRaid(g *group.Group, args []string) {
	if len(args) < 4 {
		malformed(g, "too few fields")
		return
	}
	level, health := args[0], args[2]
	action := "idle"
	if len(args) > 4 {
		action = args[4]
	}
	g.Note("The device mapper says: %s.", strings.Join(args, " "))
	g.Sync.Confirming = action == "resync" || action == "reshape"
	g.Sync.Rebuilding = action == "recover"
	g.Sync.Scrubbing = action == "check" || action == "repair"
	if action != "idle" && action != "frozen" {
		g.Sync.Ratio, g.Sync.HasRatio = ratio(args[3])
	}
	if n, err := strconv.Atoi(args[1]); err != nil || n != len(health) || n > maxLegs {
		malformed(g, fmt.Sprintf("%.20s legs and the health %.40q", args[1], health))
		return
	}
	g.Expected = len(health)
	for i, c := range health {
		m := group.Member{Name: fmt.Sprintf("leg %d", i), State: string(c)}
		switch c {
		case 'A':
			m.Active = true
		case 'a': // alive, and not in sync: what that means depends on what goes on
			m.Active = g.Sync.Confirming
		case 'D':
		case '-':
			continue // there is no device
		default:
			g.Unclear(group.Word("the health of "+m.Name, string(c)))
		}
		g.Members = append(g.Members, m)
	}
	// The kernel counts for a check, and says 0 otherwise.
	if len(args) > 5 {
		if n, err := strconv.ParseFloat(args[5], 64); err == nil && n > 0 {
			g.Scrub.Counted, g.Scrub.Errors = true, n
		}
	}
	tolerate(g, level, health)
}

// tolerate fills in what a volume of this level survives.
func tolerate(g *group.Group, level, health string) {
	alive := func(from, to int) (n int) {
		for _, m := range g.Members {
			var leg int
			_, _ = fmt.Sscanf(m.Name, "leg %d", &leg) // parseRaid named it
			if m.Active && leg >= from && leg < to {
				n++
			}
		}
		return n
	}
	n := len(health)
	all := alive(0, n)
	g.Known = true
	switch word, _, _ := strings.Cut(level, "_"); word {
	case "raid0":
		g.Tolerated = min(0, all-n)
	case "raid1":
		g.Tolerated, g.Design = all-1, n-1
	case "raid4", "raid5":
		g.Tolerated, g.Design = 1-(n-all), 1
	case "raid6":
		g.Tolerated, g.Design = 2-(n-all), 2
	case "raid10": // two copies; with an even number of legs, on neighbours
		g.Design, g.Tolerated = 1, 1
		if n%2 != 0 {
			g.Tolerated = max(0, 1-(n-all))
		}
		for i := 0; n%2 == 0 && i < n; i += 2 {
			g.Tolerated = min(g.Tolerated, alive(i, i+2)-1)
		}
	default:
		g.Known = false
		g.Unclear(group.Word("the RAID level", level))
	}
	g.Scrub.Possible = g.Known && g.Design > 0
	g.Scrub.Watched = g.Scrub.Possible
	if g.Known && g.Tolerated < 0 {
		g.Failed = fmt.Sprintf("%d of %d legs are in order, and that is not enough for %s", all, n, level)
	}
}

// ratio returns how much of a/b is done.
func ratio(text string) (float64, bool) {
	done, all, _ := strings.Cut(text, "/")
	a, errA := strconv.ParseFloat(done, 64)
	b, errB := strconv.ParseFloat(all, 64)
	if errA != nil || errB != nil || b <= 0 || a < 0 || a > b {
		return 0, false
	}
	return a / b, true
}

// parseMirror reads "2 254:57 254:58 730/2048 1 AA 3 disk 254:60 A"; see the
// function mirror_status of the kernel. Until all is in sync, the first leg
// alone has all data.
func parseMirror(g *group.Group, args []string) {
	g.Note("The device mapper says: mirror %s.", strings.Join(args, " "))
	n := 0
	if len(args) > 0 {
		n, _ = strconv.Atoi(args[0])
	}
	if n < 1 || n > maxLegs || len(args) < n+4 {
		malformed(g, "a mirror that is not understood")
		return
	}
	devices, synced, health := args[1:n+1], args[n+1], args[n+3]
	done, known := ratio(synced)
	if len(health) != n || !known {
		malformed(g, fmt.Sprintf("%d legs, the health %.40q and %.40q in sync", n, health, synced))
		return
	}
	g.Expected, g.Needed = n, 1
	if done < 1 {
		g.Sync.Rebuilding, g.Sync.Ratio, g.Sync.HasRatio = true, done, true
	}
	for i, c := range health {
		m := group.Member{Name: fmt.Sprintf("leg %d", i), State: string(c) + " " + devices[i]}
		switch c {
		case 'A':
			m.Active = done == 1 || i == 0
		case 'D', 'S', 'R', 'F': // writing, bringing into sync, reading or flushing failed
		default:
			g.Unclear(group.Word("the health of "+m.Name, string(c)))
		}
		g.Members = append(g.Members, m)
	}
}

// parsePool reads "1 120/4161600 2048/51200 - rw discard_passdown
// queue_if_no_space - 1024"; see thin-provisioning in the documentation of the
// kernel. A pool is not redundant, but what lies on it fails when it is full.
func parsePool(g *group.Group, args []string) {
	g.Note("The device mapper says: thin-pool %s.", strings.Join(args, " "))
	g.Known = true
	if len(args) == 1 && (args[0] == "Fail" || args[0] == "Error") {
		g.Failed = "the pool has failed"
		return
	}
	if len(args) < 5 {
		malformed(g, "a thin pool that is not understood")
		return
	}
	metadata, okM := ratio(args[1])
	data, okD := ratio(args[2])
	if !okM || !okD {
		malformed(g, fmt.Sprintf("a thin pool whose use is %.40q and %.40q", args[1], args[2]))
		return
	}
	g.Used = map[string]float64{"metadata": metadata, "data": data}
	switch args[4] {
	case "rw":
	case "ro":
		g.Failed = "the pool can only be read"
	case "out_of_data_space":
		g.Failed = "the pool is full"
	default:
		g.Unclear(group.Word("the mode of the pool", args[4]))
	}
	for _, word := range args[5:] {
		if word == "needs_check" {
			g.Failed = "the metadata of the pool must be checked"
		}
	}
}
