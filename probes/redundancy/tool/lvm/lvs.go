package lvm

import (
	"encoding/json"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
)

// A layout is where the legs of volumes lie: by volume, and by the number of
// the leg.
type layout map[string]map[string]string

// parseReport reads the JSON of "lvs --readonly -a -o vg_name,lv_name,devices
// --reportformat json". What cannot be read tells nothing.
func parseReport(data []byte) layout {
	var answer struct {
		Report []struct {
			LV []struct {
				VG      string `json:"vg_name"`
				LV      string `json:"lv_name"`
				Devices string `json:"devices"`
			} `json:"lv"`
		} `json:"report"`
	}
	lies := layout{}
	if json.Unmarshal(data, &answer) != nil {
		return lies
	}
	for _, report := range answer.Report {
		for _, lv := range report.LV {
			volume, leg, ok := cutLeg(strings.Trim(lv.LV, "[]"))
			if !ok || !strings.HasPrefix(lv.Devices, "/dev/") && !strings.Contains(lv.Devices, "unknown") {
				continue
			}
			name := lv.VG + "/" + volume
			if lies[name] == nil {
				lies[name] = map[string]string{}
			}
			lies[name][leg] = disks(lv.Devices)
		}
	}
	return lies
}

// cutLeg splits the name of what a leg lies on: root_rimage_0.
func cutLeg(name string) (volume, leg string, ok bool) {
	for _, part := range []string{"_rimage_", "_mimage_"} {
		if volume, leg, ok = strings.Cut(name, part); ok {
			return volume, leg, true
		}
	}
	return "", "", false
}

// disks returns the disks in "/dev/sda1(0),/dev/sdb1(12)".
func disks(devices string) string {
	var names []string
	for part := range strings.SplitSeq(devices, ",") {
		name, _, _ := strings.Cut(part, "(")
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

// place names the disks of the legs: two on one disk fail together.
func (l layout) place(g *group.Group) {
	legs := l[g.Name]
	for i := range g.Members {
		m := &g.Members[i]
		if disk := legs[strings.TrimPrefix(m.Name, "leg ")]; disk != "" {
			m.State += " on " + disk
			m.Domains = group.In(group.Disk, disk)
		}
	}
}
