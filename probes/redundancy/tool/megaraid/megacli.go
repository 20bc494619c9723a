package megaraid

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// MegaCli reads what MegaCli prints for "-LDPDInfo -aALL", or "-LDInfo -Lall -aALL"
// of versions that cannot do that, for "-PDList -aALL", for
// "-AdpBbuCmd -GetBbuStatus -aALL", and for "-AdpPR -Info -aALL" and
// "-AdpCcSched -Info -aALL". Each of them may be empty.
func MegaCli(volumes, disks, battery []byte, checks Checks) []group.Group {
	m := megacli{}
	m.volumes(string(volumes))
	m.disks(string(disks))
	m.battery(string(battery))
	patrol, consistency := textChecks(checks.Patrol), textChecks(checks.Consistency)
	var groups []group.Group
	for _, a := range m.adapters {
		all := a.groups()
		for i := range a.volumes {
			checked(&all[i+1], a.volumes[i].id, nil, patrol["c"+a.number], consistency["c"+a.number])
		}
		groups = append(groups, all...)
	}
	return groups
}

type megacli struct{ adapters []*adapter }

// adapter is a controller, in the words of MegaCli.
type adapter struct {
	number    string
	volumes   []*volume
	disks     []raid.Disk
	protected *bool
}

type volume struct {
	raid.Volume
	id      string
	name    string
	spans   int
	perSpan int
	ratio   float64
	running bool
}

// adapter returns the one with this number, the first time a new one.
func (m *megacli) adapter(number string) *adapter {
	number = strings.TrimSpace(number)
	i := slices.IndexFunc(m.adapters, func(a *adapter) bool { return a.number == number })
	if i >= 0 {
		return m.adapters[i]
	}
	a := &adapter{number: number}
	m.adapters = append(m.adapters, a)
	return a
}

// adapterLine returns the number of the adapter that a heading names:
// "Adapter 0 -- Virtual Drive Information:", "Adapter #0", "BBU status for
// Adapter: 0".
func adapterLine(line string) (string, bool) {
	line = strings.TrimSpace(line)
	rest, is := strings.CutPrefix(line, "BBU status for Adapter:")
	if !is {
		if rest, is = strings.CutPrefix(line, "Adapter"); !is {
			return "", false
		}
		rest = strings.TrimPrefix(strings.TrimSpace(rest), "#")
		rest, _, _ = strings.Cut(rest, "--")
	}
	rest = strings.Trim(rest, " :")
	_, err := strconv.Atoi(rest)
	return rest, err == nil
}

func (m *megacli) volumes(text string) {
	var (
		a *adapter
		v *volume
		d *raid.Disk
		s int
	)
	for line := range strings.Lines(text) {
		if number, is := adapterLine(line); is {
			a, v, d = m.adapter(number), nil, nil
			continue
		}
		key, value, ok := raid.Pair(line)
		if !ok || a == nil {
			continue
		}
		switch key {
		case "Virtual Drive", "Virtual Disk", "CacheCade Virtual Drive":
			v, d, s = &volume{id: firstWord(value), spans: 1}, nil, 0
			if key == "CacheCade Virtual Drive" {
				v.Level, v.State, v.Condition = "cachecade", "Optimal", raid.Optimal // it has no state of its own
			}
			a.volumes = append(a.volumes, v)
			continue
		}
		if v == nil {
			continue
		}
		switch key {
		case "Span":
			s, _ = strconv.Atoi(firstWord(value))
		case "Enclosure Device ID":
			v.Disks = append(v.Disks, raid.Disk{Name: value, Span: s})
			d = &v.Disks[len(v.Disks)-1]
		default:
			if d != nil {
				read(d, key, value)
			} else {
				v.read(key, value)
			}
		}
	}
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return strings.Trim(word, ",")
}

// read takes in a line about a volume.
func (v *volume) read(key, value string) {
	switch key {
	case "Name":
		v.name = value
	case "State":
		v.State, v.Condition = value, volumeCondition(value)
	case "RAID Level":
		v.Level = level(value)
	case "Number Of Drives":
		v.Expected, _ = strconv.Atoi(value)
	case "Number Of Drives per span":
		v.perSpan, _ = strconv.Atoi(value)
	case "Span Depth":
		v.spans, _ = strconv.Atoi(value)
	case "Background Initialization", "Check Consistency", "Rebuild", "Reconstruction":
		v.ratio, v.running = raid.Percent(value)
		v.running = v.running && key == "Rebuild"
	}
}

// level returns the level in "Primary-1, Secondary-0, RAID Level Qualifier-0".
// What the level below the stripes survives is what counts.
func level(text string) string {
	primary, is := strings.CutPrefix(strings.TrimSpace(text), "Primary-")
	if !is {
		return text
	}
	switch number := firstWord(primary); number {
	case "17":
		return "1E"
	default:
		return number
	}
}

// read takes in a line about a disk.
func read(d *raid.Disk, key, value string) {
	switch key {
	case "Slot Number":
		d.Name += ":" + value
	case "WWN":
		if d.ID == "" {
			d.ID = value
		}
	case "Firmware state":
		d.State = value
		word, _, _ := strings.Cut(value, ",") // "Online, Spun Up"
		d.Role = diskRole(word)
	case "Foreign State":
		if value != "" && !strings.EqualFold(value, "None") {
			d.State += ", foreign"
			d.Role = raid.Foreign
		}
	}
}

func (m *megacli) disks(text string) {
	var a *adapter
	for line := range strings.Lines(text) {
		if number, is := adapterLine(line); is {
			a = m.adapter(number)
			continue
		}
		key, value, ok := raid.Pair(line)
		switch {
		case !ok || a == nil:
		case key == "Enclosure Device ID":
			a.disks = append(a.disks, raid.Disk{Name: value})
		case len(a.disks) > 0:
			read(&a.disks[len(a.disks)-1], key, value)
		}
	}
}

// battery reads the state of the backup unit. Whatever is wrong with it, what is
// in the cache is at risk.
func (m *megacli) battery(text string) {
	var a *adapter
	for line := range strings.Lines(text) {
		if number, is := adapterLine(line); is {
			a = m.adapter(number)
			continue
		}
		key, value, ok := raid.Pair(line)
		if !ok || a == nil {
			continue
		}
		bad := false
		switch key {
		case "BatteryType":
			if value != "" && !strings.EqualFold(value, "None") {
				a.protected = new(true)
			}
		case "Battery Pack Missing", "Battery Replacement required", "Remaining Capacity Low", "No space to cache offload",
			"Pack is about to fail & should be replaced", "I2c Errors Detected":
			bad = strings.EqualFold(value, "Yes")
		case "Battery State", "Battery state":
			switch strings.ToLower(value) {
			case "failed", "faulty", "degraded", "missing", "degraded(need attention)":
				bad = true
			}
		}
		if bad {
			a.protected = new(false)
		}
	}
}

// groups returns the controller, and then its volumes.
func (a *adapter) groups() []group.Group {
	name := "c" + a.number
	g := group.Group{Kind: group.MegaRAID, Name: name}
	raid.Controller{Disks: a.disks, Protected: a.protected, Condition: raid.Optimal}.Fill(&g)
	groups := []group.Group{g}
	for _, v := range a.volumes {
		groups = append(groups, v.group(name))
	}
	return groups
}

func (v *volume) group(controller string) group.Group {
	g := group.Group{Kind: group.MegaRAID, Name: controller + "/v" + v.id}
	if v.perSpan > 0 {
		v.Expected = v.perSpan * max(1, v.spans)
	} else if v.Expected > 0 && len(v.Disks) > v.Expected {
		v.Expected *= max(1, v.spans) // old versions count the disks of a span
	}
	if v.Expected == 0 && len(v.Disks) == 0 && v.Level == "cachecade" {
		v.Expected = 1
	}
	if len(v.Disks) == 0 { // the tool counts them, and does not list them
		for i := range v.working() {
			v.Disks = append(v.Disks, raid.Disk{Name: fmt.Sprintf("disk %d", i), State: "counted", Role: raid.Active})
		}
	}
	v.Fill(&g)
	if v.running {
		g.Sync.Rebuilding, g.Sync.HasRatio, g.Sync.Ratio = true, true, v.ratio
	}
	if v.name != "" {
		g.Note("It is named %q.", v.name)
	}
	return g
}

// maxDisks bounds how many disks a volume is believed to have.
const maxDisks = 1000

// working returns how many disks work where the tool does not list them: all but
// those that the state of the volume says are lost.
func (v *volume) working() int {
	design, _ := raid.Design(v.Level)
	n := min(v.Expected, maxDisks)
	switch v.Condition {
	case raid.Degraded:
		n -= design
	case raid.Partial:
		n--
	case raid.Broken:
		n -= design + 1
	}
	return max(0, n)
}
