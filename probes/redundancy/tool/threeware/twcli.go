// Package threeware reads what tw_cli says of 3ware controllers.
package threeware

import (
	"errors"
	"fmt"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// Controllers returns the names of the controllers, from "tw_cli info".
func Controllers(info []byte) ([]string, error) {
	var names []string
	heading := false
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "Ctl":
			heading = true
		case heading && strings.HasPrefix(line, "c") && isNumber(fields[0][1:]):
			names = append(names, fields[0])
		case strings.HasPrefix(strings.TrimSpace(line), "Error"):
			return nil, probes.Because(probes.Unavailable, fmt.Errorf("the tool says: %.200s", strings.TrimSpace(line)))
		}
	}
	if !heading && len(strings.TrimSpace(string(info))) > 0 && !strings.Contains(strings.ToLower(string(info)), "no controller") {
		return nil, probes.Because(probes.Malformed, errors.New("the tool lists no controllers in a form that is understood"))
	}
	return names, nil
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// Parse reads what tw_cli prints for "info c0 unitstatus", "info c0
// drivestatus" and "info c0 bbustatus".
func Parse(name string, units, drives, battery []byte) []group.Group {
	disks := parseDrives(string(drives))
	whole := raid.Controller{Condition: raid.Optimal, Protected: protected(string(battery))}
	for _, d := range disks {
		whole.Disks = append(whole.Disks, d.Disk)
	}
	c := group.Group{Kind: group.ThreeWare, Name: name}
	whole.Fill(&c)
	c.Spares = 0
	volumes := []group.Group{}
	for _, fields := range table(string(units), "Unit") {
		unit, level, state := fields[0], fields[1], fields[2]
		if level == "SPARE" {
			if state == "OK" || strings.HasPrefix(state, "VERIFY") {
				c.Spares++
			}
			continue
		}
		volumes = append(volumes, volume(name, unit, level, state, fields, disks))
	}
	return append([]group.Group{c}, volumes...)
}

// drive is a disk and the unit that it belongs to.
type drive struct {
	raid.Disk
	unit string
}

// table returns the fields of the rows below the heading that begins with this
// word. A row has at least three.
func table(text, heading string) (rows [][]string) {
	below := false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			below = below && len(rows) == 0 // a table ends with an empty line
		case fields[0] == heading:
			below = true
		case below && len(fields) >= 3 && !strings.HasPrefix(fields[0], "--"):
			rows = append(rows, fields)
		}
	}
	return rows
}

func parseDrives(text string) []drive {
	var drives []drive
	for _, heading := range []string{"Port", "VPort"} {
		for _, fields := range table(text, heading) {
			state := fields[1]
			d := drive{Disk: raid.Disk{Name: fields[0], State: state, Role: driveRole(state)}, unit: fields[2]}
			if d.unit == "-" && d.Role == raid.Active {
				d.Role = raid.Idle
			}
			if state == "NOT-PRESENT" {
				continue // an empty port
			}
			drives = append(drives, d)
		}
	}
	return drives
}

// driveRole knows the states of the 3ware CLI guide. Some say only that
// something happened once, and the disk works.
func driveRole(state string) raid.Role {
	switch state {
	case "OK", "VERIFYING", "INITIALIZING", "MIGRATING", "SMART-FAILURE", "ECC-ERROR", "ECC-ERROR-DETECTED", "SOURCE-DRIVE-ERROR",
		"DEVICE-ERROR":
		return raid.Active
	case "REBUILDING":
		return raid.Rebuilding
	case "DEGRADED", "DRIVE-REMOVED", "FAILED", "INOPERABLE", "NOT-SUPPORTED", "BACKUP-DCB", "DRIVE-TIMEOUT", "UNREADABLE-DCB", "DCB-ERROR",
		"SPINUP-FAILURE", "OFFLINE", "UNCONV-DCB", "DRIVE-UNAVAILABLE", "UNSUPPORTED":
		return raid.Failed
	case "NOT-PRESENT":
		return raid.Absent
	case "SPARE":
		return raid.Spare
	}
	return raid.Strange
}

func volume(controller, unit, level, state string, fields []string, disks []drive) group.Group {
	v := raid.Volume{Level: level, State: state, Condition: condition(state)}
	for _, d := range disks {
		if d.unit == unit {
			v.Disks = append(v.Disks, d.Disk)
		}
	}
	g := group.Group{Kind: group.ThreeWare, Name: controller + "/" + unit}
	v.Fill(&g)
	if g.Err == nil && g.Design > 0 {
		g.Scrub = group.Scrub{Possible: true, Watched: true}
	}
	ratio, has := 0.0, false
	if len(fields) > 3 {
		ratio, has = raid.Percent(fields[3]) // how much is rebuilt
	}
	switch {
	case strings.HasPrefix(state, "REBUILD"):
		g.Sync.Rebuilding, g.Sync.Ratio, g.Sync.HasRatio = true, ratio, has
	case strings.HasPrefix(state, "INIT"):
		g.Sync.Confirming = true
	case strings.HasPrefix(state, "VERIFY") && len(fields) > 4:
		g.Sync.Scrubbing = true
		g.Sync.Ratio, g.Sync.HasRatio = raid.Percent(fields[4])
	}
	return g
}

func condition(state string) raid.Condition {
	switch state {
	case "OK", "VERIFYING", "VERIFY-PAUSED", "INITIALIZING", "INIT-PAUSED", "MIGRATING", "MIGRATE-PAUSED":
		return raid.Optimal
	case "DEGRADED", "REBUILDING", "REBUILD-PAUSED", "REBUILD-VERIFY", "RECOVERY":
		return raid.Degraded
	case "INOPERABLE", "FAILED", "OFFLINE", "INCOMPLETE":
		return raid.Broken
	}
	return raid.Odd
}

// protected reads the state of the battery backup unit; nil if there is none, or
// it charges or is tested, because meanwhile the controller writes through.
func protected(text string) *bool {
	rows := table(text, "Name")
	if len(rows) == 0 || len(rows[0]) < 4 {
		return nil
	}
	ready, state := rows[0][2], rows[0][3]
	switch {
	case state == "OK" && ready == "Yes":
		return new(true)
	case state == "Charging", state == "Testing", state == "Charged", state == "-":
		return nil
	}
	return new(false)
}
