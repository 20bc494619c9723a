// Package smartarray reads what the tools for HPE's Smart Array controllers
// say: ssacli, and hpssacli and hpacucli before it.
package smartarray

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// Parse reads what the tool prints for "ctrl all show config detail". It
// understands "ctrl all show config", "ctrl all show status" and "ld all show"
// too, which say less.
func Parse(data []byte) ([]group.Group, error) {
	p := parser{}
	for line := range strings.Lines(string(data)) {
		p.line(strings.TrimRight(line, "\r\n"))
	}
	if p.err != nil && len(p.controllers) == 0 {
		return nil, p.err
	}
	var groups []group.Group
	for _, c := range p.controllers {
		groups = append(groups, c.groups()...)
	}
	return groups, nil
}

type parser struct {
	controllers []*controller
	array       *array
	volume      *volume
	disk        *raid.Disk
	enclosure   string
	err         error
}

type controller struct {
	name      string
	state     string
	protected *bool
	arrays    []*array
	disks     []*raid.Disk
	power     [][2]string // enclosure and the state of its power supplies
}

type array struct {
	name    string
	state   string
	disks   []*raid.Disk
	volumes []*volume
}

type volume struct {
	raid.Volume
	id         string
	confirming bool
	scanned    time.Time // the end of the last scan of the surface
}

var (
	heading       = regexp.MustCompile(`^\S.* in (Slot (\d+)|[^():\s][^():]*?)( \(.*\))*\s*$`)
	arrayHeading  = regexp.MustCompile(`^\s+[Aa]rray:? (\S+)( \(.*\))?\s*$`)
	shortVolume   = regexp.MustCompile(`^\s+logicaldrive (\d+) \((.*)\)\s*$`)
	volumeHeading = regexp.MustCompile(`^\s+Logical Drive: (\d+)\s*$`)
	enclosure     = regexp.MustCompile(`\S.* at Port \S+, Box \d+`)
	diskHeading   = regexp.MustCompile(`^\s+physicaldrive (\S+)(?: \((.*)\))?\s*$`)
)

func (p *parser) controller() *controller { return p.controllers[len(p.controllers)-1] }

func (p *parser) line(line string) {
	switch text := strings.TrimSpace(line); {
	case text == "" || strings.HasPrefix(line, "#"):
		return
	case strings.HasPrefix(text, "Error:"):
		p.failed(text)
		return
	case p.heading(line):
		return
	case len(p.controllers) == 0:
		return
	case strings.EqualFold(text, "unassigned"), text == "HBA Drives", text == "Physical Drives":
		p.array, p.volume, p.disk = nil, nil, nil
		return
	}
	key, value, ok := raid.Pair(line)
	switch {
	case !ok:
		if name := enclosure.FindString(line); name != "" {
			p.enclosure = name
		}
	case p.disk != nil:
		p.diskLine(key, value)
	case p.volume != nil:
		p.volumeLine(key, value)
	case p.array != nil:
		if key == "Status" {
			p.array.state = value
		}
	default:
		p.controllerLine(key, value)
	}
}

// failed takes in an error of the tool. That a controller has no volumes is
// none, and neither is a host without a controller.
func (p *parser) failed(text string) {
	lower := strings.ToLower(text)
	if strings.Contains(lower, "does not have any") || strings.Contains(lower, "no controllers detected") {
		return
	}
	p.err = probes.Because(probes.Unavailable, fmt.Errorf("the tool says: %.200s", text))
}

// heading takes in a line that begins something.
func (p *parser) heading(line string) bool {
	if m := heading.FindStringSubmatch(line); m != nil {
		p.begin(m)
		return true
	}
	if len(p.controllers) == 0 {
		return false
	}
	c := p.controller()
	if m := arrayHeading.FindStringSubmatch(line); m != nil {
		p.array, p.volume, p.disk = &array{name: m[1]}, nil, nil
		c.arrays = append(c.arrays, p.array)
		return true
	}
	if m := volumeHeading.FindStringSubmatch(line); m != nil {
		p.addVolume(&volume{id: m[1]})
		return true
	}
	if m := shortVolume.FindStringSubmatch(line); m != nil {
		p.addVolume(short(m[1], m[2]))
		return true
	}
	if m := diskHeading.FindStringSubmatch(line); m != nil {
		p.addDisk(m[1], m[2])
		return true
	}
	return false
}

func (p *parser) begin(m []string) {
	name := strings.TrimSpace(m[1])
	if m[2] != "" {
		name = "slot" + m[2]
	}
	name = strings.ReplaceAll(name, "/", "_") // what has a slash is a volume
	taken := 0
	for _, c := range p.controllers {
		if c.name == name || strings.HasPrefix(c.name, name+"#") {
			taken++
		}
	}
	if taken > 0 {
		name = fmt.Sprintf("%s#%d", name, taken+1)
	}
	p.controllers = append(p.controllers, &controller{name: name})
	p.array, p.volume, p.disk, p.enclosure = nil, nil, nil, ""
}

func (p *parser) addVolume(v *volume) {
	if p.array == nil {
		p.array = &array{}
		p.controller().arrays = append(p.controller().arrays, p.array)
	}
	p.volume, p.disk = v, nil
	p.array.volumes = append(p.array.volumes, v)
}

// short reads what stands in brackets: "68.3 GB, RAID 1, OK" or "1.8 TB, RAID 5,
// Recovering, 12% complete".
func short(id, text string) *volume {
	v := &volume{id: id}
	_, text, _ = strings.Cut(text, ", ")
	v.Level, v.State, _ = strings.Cut(text, ", ")
	return v
}

// addDisk takes in a disk, which may have been listed before.
func (p *parser) addDisk(name, text string) {
	c := p.controller()
	i := slices.IndexFunc(c.disks, func(d *raid.Disk) bool { return d.Name == name })
	if i < 0 {
		c.disks = append(c.disks, &raid.Disk{Name: name, Role: raid.Strange})
		i = len(c.disks) - 1
	}
	d := c.disks[i]
	if p.array != nil && !slices.Contains(p.array.disks, d) {
		p.array.disks = append(p.array.disks, d)
	}
	p.volume = nil
	if text == "" {
		p.disk = d // what follows is about it
		return
	}
	p.disk = nil
	// "port 1I:box 1:bay 1, SAS, 72 GB, OK", and perhaps ", spare"
	parts := strings.Split(text, ", ")
	state := parts[len(parts)-1]
	if word := state; len(parts) > 1 && strings.Contains(word, "spare") {
		state = parts[len(parts)-2]
		if d.Role = raid.Spare; strings.Contains(word, activeSpare) {
			d.Role = raid.Active
			state += ", " + activeSpare
		}
	}
	take(d, state)
}

// activeSpare is said of a spare that has taken the place of another disk.
const activeSpare = "active spare"

func (p *parser) diskLine(key, value string) {
	switch key {
	case "Status":
		take(p.disk, value)
	case "Drive Type":
		switch {
		case strings.HasPrefix(value, "Spare") && p.disk.Role != raid.Active:
			p.disk.Role = raid.Spare
		case strings.HasPrefix(value, "Unassigned"), strings.HasPrefix(value, "HBA"):
			p.disk.Role = raid.Idle
		}
	case "Drive Unique ID":
		p.disk.ID = value
	}
}

func (p *parser) volumeLine(key, value string) {
	switch key {
	case "Fault Tolerance":
		p.volume.Level = value
	case "Status":
		p.volume.State = value
	case "Last Surface Scan Completion Timestamp":
		// In UTC, because the tool runs so; zero if there was none.
		p.volume.scanned, _ = time.Parse(time.DateTime, value)
	case "Parity Initialization Status":
		p.volume.confirming = !strings.HasPrefix(value, "Initialization Completed")
	}
}

func (p *parser) controllerLine(key, value string) {
	c := p.controller()
	switch key {
	case "Controller Status":
		c.state = value
	case "Battery/Capacitor Status":
		switch {
		case value == "OK":
			c.protected = new(true)
		case strings.HasPrefix(value, "Recharging"), strings.HasPrefix(value, "Not"):
			c.protected = nil // meanwhile it writes through, or there is none
		default:
			c.protected = new(false)
		}
	case "Power Supply Status":
		c.power = append(c.power, [2]string{p.enclosure, value})
	}
}
