package lvm

import (
	"cmp"
	"encoding/json"
	"path"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
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

// A Legs says on which disk each leg of a volume lies, by volume, and by the
// number of the leg.
type Legs map[string]map[string]string

// Disks finds the disks of legs in /sys/block, through partitions and encryption.
// A leg on several disks has none.
func Disks(files *rootfs.FS) Legs {
	legs := Legs{}
	devices, err := sysfs.Names(files, "/sys/block")
	if err != nil {
		return legs // what LVM says remains
	}
	for _, device := range devices {
		if !strings.HasPrefix(device, "dm-") {
			continue
		}
		name, err := files.ReadFile(path.Join("/sys/block", device, "dm/name"), 1000)
		volume, leg, is := cutLeg(objectName(strings.TrimSpace(string(name))))
		disk := sysfs.Disk(files, path.Join("/sys/block", device))
		if err != nil || !is || disk == device {
			continue
		}
		if legs[volume] == nil {
			legs[volume] = map[string]string{}
		}
		legs[volume][leg] = disk
	}
	return legs
}

// place names the disks of the legs: two on one disk fail together.
func (l layout) place(g *group.Group, legs Legs) {
	for i := range g.Members {
		m := &g.Members[i]
		leg := strings.TrimPrefix(m.Name, "leg ")
		device := l[g.Name][leg]
		if device != "" {
			m.State += " on " + device
		}
		m.Domains = group.In(group.Disk, cmp.Or(legs[g.Name][leg], device))
	}
}
