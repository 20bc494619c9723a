package lsi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

var (
	foundLine  = regexp.MustCompile(`Found SCSI id=(\d+)`)
	volumeLine = regexp.MustCompile(`^(ioc\d+) vol_id (\d+) type (\w+), (\d+) phy, .*state ([A-Z_]+), flags (.*)$`)
	phyLine    = regexp.MustCompile(`^(ioc\d+) (?:phy|spare) (\d+) (?:scsi_id \d+ )?(.*), state ([A-Z_]+), flags (.*)$`)
	ratioLine  = regexp.MustCompile(`^scsi_id \d+ (\d+)%`)
)

// VolumeIDs returns the SCSI ids of the volumes, from "mpt-status -p".
func VolumeIDs(probe []byte) (ids []string) {
	for _, m := range foundLine.FindAllStringSubmatch(string(probe), -1) {
		if !slices.Contains(ids, m[1]) {
			ids = append(ids, m[1])
		}
	}
	return ids
}

// MPTStatus reads what mpt-status prints for "-i n".
func MPTStatus(data []byte) []group.Group {
	var (
		groups []group.Group
		v      *raid.Volume
		name   string
		active bool // a disk is being brought up to date
		ratio  = 2.0
	)
	finish := func() {
		if v == nil {
			return
		}
		g := group.Group{Kind: group.LSI, Name: name}
		v.Fill(&g)
		if active {
			g.Sync.Rebuilding = true
			g.Sync.HasRatio, g.Sync.Ratio = ratio < 1, min(ratio, 1)
		}
		groups = append(groups, g)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if m := volumeLine.FindStringSubmatch(line); m != nil {
			finish()
			name, active, ratio = m[1]+"/v"+m[2], strings.Contains(m[6], "RESYNC"), 2
			v = &raid.Volume{Level: m[3], State: m[5], Condition: mptCondition(m[5])}
			_, _ = fmt.Sscan(m[4], &v.Expected) // it is a number
			v.Expected = min(v.Expected, 256)
			continue
		}
		if v == nil {
			continue
		}
		if m := phyLine.FindStringSubmatch(line); m != nil {
			d := raid.Disk{Name: "phy " + m[2], State: m[4] + ", " + m[5], Role: mptRole(m[4], m[5])}
			if strings.Contains(line, " spare ") {
				d.Name, d.Role = "spare "+m[2], raid.Spare
			}
			v.Disks = append(v.Disks, d)
		}
		if m := ratioLine.FindStringSubmatch(line); m != nil {
			if r, ok := raid.Number(m[1]); ok {
				ratio = min(ratio, r)
			}
		}
	}
	finish()
	return groups
}

func mptCondition(state string) raid.Condition {
	switch state {
	case "OPTIMAL":
		return raid.Optimal
	case "DEGRADED", "RESYNCING":
		return raid.Degraded
	case "FAILED", "MISSING":
		return raid.Broken
	}
	return raid.Odd
}

func mptRole(state, flags string) raid.Role {
	switch {
	case state == "MISSING":
		return raid.Absent
	case state == "ONLINE" && strings.Contains(flags, "OUT_OF_SYNC"):
		return raid.Rebuilding
	case state == "ONLINE":
		return raid.Active
	case strings.HasPrefix(state, "FAILED"), strings.HasPrefix(state, "OFFLINE"), state == "NOT_COMPATIBLE", state == "INITIALIZING",
		state == "OTHER_OFFLINE":
		return raid.Failed
	}
	return raid.Strange
}
