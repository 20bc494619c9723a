package drbd

import (
	"regexp"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

var (
	minorLine  = regexp.MustCompile(`^\s*(\d+): cs:(\S+)(?: ro:(\S+)/(\S+) ds:(\S+?)/(\S+))?(?: \S+ (\S+))?`)
	syncedLine = regexp.MustCompile(`sync'ed:\s*([\d.]+)%`)
)

// Old reports whether /proc/drbd is of DRBD 8, and tells of the devices.
func Old(proc []byte) bool { return strings.HasPrefix(string(proc), "version: 8.") }

// Proc reads /proc/drbd of DRBD 8.4. Devices have no names there, but minor
// numbers.
func Proc(data []byte) (groups []group.Group) {
	for line := range strings.Lines(string(data)) {
		if m := minorLine.FindStringSubmatch(line); m != nil {
			if m[2] != "Unconfigured" {
				groups = append(groups, minor(m))
			}
			continue
		}
		if len(groups) == 0 {
			continue
		}
		g := &groups[len(groups)-1]
		if m := syncedLine.FindStringSubmatch(line); m != nil {
			g.Sync.Ratio, g.Sync.HasRatio = raid.Number(m[1])
		}
	}
	return groups
}

// minor describes one device. What version 8.4 calls the state of the
// connection is that of the replication too, once there is a connection.
func minor(m []string) group.Group {
	g := group.Group{Kind: group.DRBD, Name: "drbd" + m[1], Needed: 1}
	g.Note("The role of this host is %s.", m[3])
	state := m[2]
	c, p := connection{Name: "peer", State: state}, peerDevice{Replication: "Off", Disk: m[6]}
	for _, known := range replicationStates()[2:] {
		if state == known {
			c.State, p.Replication = "Connected", state
		}
	}
	if state == "Connected" {
		p.Replication = "Established"
	}
	local(&g, m[5])
	peer(&g, c, p)
	g.Expected = 2
	if strings.HasPrefix(m[7], "s") || strings.HasPrefix(m[7], "d") {
		// The first flag is r while writing goes on and s while it is suspended.
		g.Failed = "writing is suspended"
	}
	if g.Active() == 0 && g.Failed == "" && g.Err == nil {
		g.Failed = "no copy is known to be up to date"
	}
	return g
}
