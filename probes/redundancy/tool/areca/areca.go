// Package areca reads what cli64 says of an Areca controller.
package areca

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

const size = `([\d.]+)[MGT]B`

var (
	setRow    = regexp.MustCompile(`^\s*\d+\s+(\S.*?)\s+(\d+)\s+` + size + `\s+` + size + `\s+` + size + `\s+(\S.*?)\s*$`)
	volumeRow = regexp.MustCompile(`^\s*\d+\s+(\S.*?)\s+(Raid\S+|JBOD|Single)\s+` + size + `\s+\d+/\d+/\d+\s+(\S.*?)\s*$`)
	diskRow   = regexp.MustCompile(`^\s*(\d+)\s+(\d+)\s+(?:((?i:slot)[ #]*\d+)\s+)?(\S.*?)\s+` + size + `\s+(\S.*?)\s*$`)
)

// A set is a raid set: the disks that volumes lie on.
type set struct {
	name    string
	disks   int
	empty   bool // no volume takes any of its space
	state   string
	members []raid.Disk
	used    bool
}

// Serial returns the serial number in what cli64 prints for "sys info"; empty if
// there is none.
func Serial(system []byte) string {
	for line := range strings.Lines(string(system)) {
		if key, value, _ := raid.Pair(line); strings.EqualFold(key, "Serial Number") {
			return value
		}
	}
	return ""
}

// Outputs are what cli64 prints for "rsf info", "vsf info" and "disk info".
type Outputs struct{ Sets, Volumes, Disks []byte }

// Parse reads what cli64 says of the controller of this name. Of a set with a
// volume that is not listed, only the disks are known, and the error says so.
func Parse(controller string, out Outputs) ([]group.Group, error) {
	all := parseSets(string(out.Sets))
	if len(all) == 0 && !strings.Contains(string(out.Sets), "Success") {
		return nil, probes.Because(probes.Unavailable, errors.New("the tool does not list raid sets: "+lastLine(string(out.Sets))))
	}
	c := group.Group{Kind: group.Areca, Name: controller}
	whole := raid.Controller{Condition: raid.Optimal, Disks: parseDisks(string(out.Disks), all)}
	whole.Fill(&c)
	groups := []group.Group{c}
	for line := range strings.Lines(string(out.Volumes)) {
		if m := volumeRow.FindStringSubmatch(line); m != nil {
			groups = append(groups, parseVolume(controller, m, all))
		}
	}
	var err error
	for _, s := range all {
		// A disk that is passed through is no volume.
		if s.used || strings.HasPrefix(s.name, "PassThrough") {
			continue
		}
		groups = append(groups, s.alone(controller))
		if !s.empty {
			err = probes.Because(probes.Unavailable, fmt.Errorf("the tool lists no volume of raid set %q, so that it is not known what survives", s.name))
		}
	}
	return groups, err
}

// alone describes a set of which no volume is listed. It has no level of its own,
// so that nothing is said to survive; but what has failed is known, and that what
// is degraded once survived something.
func (s *set) alone(controller string) group.Group {
	g := group.Group{Kind: group.Areca, Name: controller + "/set/" + clean(s.name), Known: true, Expected: s.disks}
	g.Note("The tool says of the raid set: state %s. It lists no volume of it, and so no RAID level.", s.state)
	for _, d := range s.members {
		g.Members = append(g.Members, group.Member{Name: d.Name, Active: true, State: d.State})
	}
	switch condition(s.state) {
	case raid.Optimal:
	case raid.Degraded, raid.Partial:
		g.Design = 1
		g.Sync.Rebuilding = strings.HasPrefix(strings.ToLower(s.state), "rebuild")
	case raid.Broken:
		g.Failed = "the tool says that it is " + s.state
	case raid.Odd:
		g.Unclear(group.Word("the state", s.state))
	}
	return g
}

// clean takes out what separates the parts of a name.
func clean(name string) string { return strings.ReplaceAll(name, "/", "_") }

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("%.200q", lines[len(lines)-1])
}

func parseSets(text string) (all []*set) {
	for line := range strings.Lines(text) {
		if m := setRow.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[2])
			all = append(all, &set{name: m[1], disks: min(n, 1000), empty: m[3] == m[4], state: m[6]})
		}
	}
	return all
}

// parseDisks returns all disks, and gives each set its own.
func parseDisks(text string, sets []*set) (disks []raid.Disk) {
	for line := range strings.Lines(text) {
		m := diskRow.FindStringSubmatch(line)
		if m == nil || m[4] == "N.A." {
			continue // an empty slot
		}
		name := "slot " + m[1]
		if m[3] != "" {
			name = "enclosure " + m[2] + " " + strings.ToLower(strings.Join(strings.FieldsFunc(m[3], func(r rune) bool { return r == ' ' || r == '#' }), " "))
		}
		d := raid.Disk{Name: name, State: m[6], Role: role(m[6])}
		for _, s := range sets {
			if s.name == m[6] {
				d.Role = raid.Active
				s.members = append(s.members, d)
			}
		}
		disks = append(disks, d)
	}
	return disks
}

func role(usage string) raid.Role {
	switch word := strings.ToLower(usage); {
	case strings.HasPrefix(word, "hotspare"), strings.HasPrefix(word, "hot spare"), strings.HasSuffix(word, "hotspare"):
		return raid.Spare
	case word == "free", word == "pass through", word == "passthrough", word == "jbod":
		return raid.Idle
	case strings.HasPrefix(word, "fail"), word == "removed", word == "offline":
		return raid.Failed
	case strings.HasPrefix(word, "incomplete"), strings.HasPrefix(word, "offlined"):
		return raid.Foreign
	}
	return raid.Strange
}

// parseVolume reads the row of a volume. Its name and that of its set stand side
// by side, and both may hold spaces.
func parseVolume(controller string, m []string, sets []*set) group.Group {
	v := raid.Volume{Level: m[2], State: m[4], Condition: condition(m[4])}
	for _, s := range sets {
		if name, is := strings.CutSuffix(m[1], s.name); is && strings.TrimSpace(name) != "" {
			s.used = true
			return s.group(controller+"/"+clean(strings.TrimSpace(name)), v)
		}
	}
	g := group.Group{Kind: group.Areca, Name: controller + "/" + clean(m[1])}
	v.Fill(&g)
	g.Unclear(probes.Because(probes.Malformed, fmt.Errorf("the volume belongs to no raid set that the tool lists")))
	return g
}

func (s *set) group(name string, v raid.Volume) group.Group {
	g := group.Group{Kind: group.Areca, Name: name}
	v.Disks, v.Expected = append(v.Disks, s.members...), s.disks
	v.Fill(&g)
	if g.Err == nil && g.Design > 0 {
		g.Scrub = group.Scrub{Possible: true, Watched: true}
	}
	switch word := strings.ToLower(v.State); {
	case strings.HasPrefix(word, "rebuild"):
		g.Sync.Rebuilding = true
	case strings.HasPrefix(word, "init"), strings.HasPrefix(word, "foreground"), strings.HasPrefix(word, "background"):
		g.Sync.Confirming = true
	case strings.HasPrefix(word, "check"):
		g.Sync.Scrubbing = true
	default:
		return g
	}
	g.Sync.Ratio, g.Sync.HasRatio = raid.Percent(v.State)
	return g
}

// condition knows the states of the manual. Some come with a percentage, such
// as "Rebuilding(12.5%)".
func condition(state string) raid.Condition {
	word, _, _ := strings.Cut(strings.ToLower(state), "(")
	switch strings.TrimSpace(word) {
	case "normal", "checking", "initializing", "foreground init", "background init", "migrating", "need init", "need migrate", "init", "check":
		return raid.Optimal
	case "degraded", "rebuilding", "need rebuild", "rebuild", "degrade":
		return raid.Degraded
	case "failed", "incomplete", "offlined", "offline", "not exist":
		return raid.Broken
	}
	return raid.Odd
}
