// Package lsi reads what the tools for LSI's Integrated RAID say: sas2ircu,
// sas3ircu and mpt-status.
package lsi

import (
	"fmt"
	"regexp"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

var adapterRow = regexp.MustCompile(`^\s+(\d{1,2})\s+\S+\s+[0-9A-Fa-f]+h\s`)

// Controllers returns the numbers of the controllers, from "sas3ircu LIST".
func Controllers(list []byte) ([]string, error) {
	var numbers []string
	for line := range strings.Lines(string(list)) {
		if m := adapterRow.FindStringSubmatch(line); m != nil {
			numbers = append(numbers, m[1])
		}
	}
	text := string(list)
	if len(numbers) == 0 && !strings.Contains(text, "Completed Successfully") && !strings.Contains(text, "No Controller Found") &&
		!strings.Contains(text, "MPTLib2 Error 1") { // which is how it says that there is none
		return nil, probes.Because(probes.Malformed, fmt.Errorf("the tool lists no controllers in a form that is understood: %.200q", lastLine(text)))
	}
	return numbers, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// SASIRCU reads what sas2ircu and sas3ircu print for "n DISPLAY" and "n
// STATUS".
func SASIRCU(number string, display, status []byte) []group.Group {
	p := parser{}
	for line := range strings.Lines(string(display)) {
		p.line(line)
	}
	name := "c" + number
	whole := raid.Controller{Condition: raid.Optimal}
	for _, d := range p.disks {
		whole.Disks = append(whole.Disks, *d)
	}
	g := group.Group{Kind: group.LSI, Name: name}
	whole.Fill(&g)
	if !strings.Contains(string(display), "Completed Successfully") {
		g.Unclear(probes.Because(probes.Unavailable, fmt.Errorf("the tool says: %.200s", lastLine(string(display)))))
	}
	groups := []group.Group{g}
	progress := progress(string(status))
	for i, v := range p.volumes {
		groups = append(groups, p.volume(name, i, v, progress))
	}
	return groups
}

type parser struct {
	section string
	volumes []*volume
	disks   []*raid.Disk
	pending *raid.Disk // a device of which it is not known yet what it is
}

type volume struct {
	raid.Volume
	id     string
	places []string // of the disks
}

var (
	volumeHeading = regexp.MustCompile(`^IR [Vv]olume (\d+)\s*$`)
	phy           = regexp.MustCompile(`^PHY\[(\d+)\]`)
)

func (p *parser) line(line string) {
	text := strings.TrimSpace(line)
	switch {
	case strings.HasSuffix(text, " information"):
		p.section = text
		return
	case text == "Device is a Hard disk":
		p.pending = &raid.Disk{}
		p.disks = append(p.disks, p.pending)
		return
	case strings.HasPrefix(text, "Device is a"): // an enclosure
		p.pending = nil
		return
	}
	if m := volumeHeading.FindStringSubmatch(text); m != nil {
		p.volumes = append(p.volumes, &volume{id: m[1]})
		return
	}
	key, value, ok := strings.Cut(line, " : ")
	if !ok {
		return
	}
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	switch {
	case p.section == "IR Volume information" && len(p.volumes) > 0:
		p.volumes[len(p.volumes)-1].line(key, value)
	case p.section == "Physical device information" && p.pending != nil:
		diskLine(p.pending, key, value)
	}
}

func (v *volume) line(key, value string) {
	switch key {
	case "Volume ID":
		v.id = value
	case "Status of volume":
		v.State, v.Condition = value, condition(value)
	case "RAID level":
		v.Level = value
	default:
		if phy.MatchString(key) {
			v.places = append(v.places, value)
		}
	}
}

func diskLine(d *raid.Disk, key, value string) {
	switch key {
	case "Enclosure #":
		d.Name = value
	case "Slot #":
		d.Name += ":" + value
	case "State":
		d.State, d.Role = value, diskRole(value)
	case "Serial No":
		d.ID = value
	}
}

// code returns the word in brackets, such as OKY of "Okay (OKY)".
func code(text string) string {
	_, rest, _ := strings.Cut(text, "(")
	word, _, ok := strings.Cut(rest, ")")
	if !ok {
		return strings.ToUpper(strings.TrimSpace(text))
	}
	return word
}

func condition(state string) raid.Condition {
	switch code(state) {
	case "OKY", "OKAY", "OPTIMAL", "INIT":
		return raid.Optimal
	case "DGD", "DEGRADED":
		return raid.Degraded
	case "FLD", "FAILED", "MIS", "MISSING":
		return raid.Broken
	case "INACTIVE": // another controller may have made it
		return raid.Broken
	}
	return raid.Odd
}

func diskRole(state string) raid.Role {
	switch code(state) {
	case "OPT", "OPTIMAL", "ONL", "ONLINE":
		return raid.Active
	case "RDY", "READY", "AVL", "AVAILABLE", "SBY", "STANDBY", "JBOD":
		return raid.Idle
	case "HSP":
		return raid.Spare
	case "RBLD", "DGD", "OSY": // an out of sync disk is rebuilt
		return raid.Rebuilding
	case "FLD", "FAILED":
		return raid.Failed
	case "MIS", "MISSING":
		return raid.Absent
	}
	return raid.Strange
}

func (p *parser) volume(controller string, index int, v *volume, progress map[int]float64) group.Group {
	for i, place := range v.places {
		v.Disks = append(v.Disks, p.at(place, i))
	}
	g := group.Group{Kind: group.LSI, Name: controller + "/v" + v.id}
	v.Fill(&g)
	if ratio, running := progress[index+1]; running {
		switch {
		case v.Condition == raid.Degraded:
			g.Sync.Rebuilding, g.Sync.HasRatio, g.Sync.Ratio = true, true, ratio
		case code(v.State) == "INIT":
			g.Sync.Confirming, g.Sync.HasRatio, g.Sync.Ratio = true, true, ratio
		}
	}
	return g
}

// at returns the disk of a volume at a place. One that says no more than that it
// is ready is in order where it is.
func (p *parser) at(place string, index int) raid.Disk {
	for _, d := range p.disks {
		if d.Name == place {
			disk := *d
			if disk.Role == raid.Idle {
				disk.Role = raid.Active
			}
			return disk
		}
	}
	return raid.Disk{Name: fmt.Sprintf("PHY[%d]", index), State: "not listed", Role: raid.Absent}
}

// progress returns the ratio of what runs, by volume, from "n STATUS".
func progress(text string) map[int]float64 {
	running := map[int]float64{}
	volume, busy := 0, false
	for line := range strings.Lines(text) {
		if m := volumeHeading.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			volume, busy = volume+1, false
			continue
		}
		key, value, _ := raid.Pair(line)
		switch key {
		case "Current operation":
			busy = value != "None" && value != ""
		case "Percentage complete":
			if ratio, ok := raid.Number(strings.TrimSuffix(value, "%")); ok && busy {
				running[volume] = ratio
			}
		}
	}
	return running
}
