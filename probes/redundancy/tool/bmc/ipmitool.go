// Package bmc reads what the management controller of a server says of its
// power supplies and fans, by ipmitool and by Redfish.
package bmc

import (
	"regexp"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
)

// A sensor is a line of "ipmitool -c sdr type …".
type sensor struct {
	name, id, status, entity string
	words                    []string // the states of a discrete one, or one reading
}

// reading matches what an analog sensor measures: "5880 RPM", "110 Watts".
var reading = regexp.MustCompile(`^-?[\d.]+ \D+$|^0x[0-9a-f]+$|^-?[\d.]+$`)

func sensors(data []byte) (all []sensor) {
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) < 4 {
			continue
		}
		s := sensor{name: strings.TrimSpace(fields[0]), id: fields[1], status: fields[2], entity: fields[3]}
		for _, word := range fields[4:] {
			if word = strings.TrimSpace(word); word != "" {
				s.words = append(s.words, word)
			}
		}
		all = append(all, s)
	}
	return all
}

// redundancy reports whether a sensor tells of the redundancy of several.
func (s sensor) redundancy() bool {
	for _, word := range s.words {
		if strings.Contains(strings.ToLower(word), "redundan") {
			return true
		}
	}
	return false
}

// silent reports whether a sensor says nothing, as those of what is not there:
// its status is "ns", and some say so in words.
func (s sensor) silent() bool {
	return len(s.words) == 0 || s.status == "ns" || len(s.words) == 1 && (s.words[0] == "No Reading" || s.words[0] == "Disabled")
}

// measures returns the reading of an analog sensor.
func (s sensor) measures() (string, bool) {
	if len(s.words) == 1 && reading.MatchString(s.words[0]) {
		return s.words[0], true
	}
	return "", false
}

// Power reads "ipmitool -c sdr type 'Power Supply'", and of "Power Unit" what it
// says of redundancy. A supply that was pulled out says nothing, as one that
// never was there.
func Power(supplies, units []byte) []group.Group {
	g := group.Group{Kind: group.Power, Name: "bmc"}
	said := map[string]bool{} // entities with a sensor of states
	all := sensors(supplies)
	for _, s := range all {
		if _, number := s.measures(); !number && !s.silent() && !s.redundancy() {
			said[s.entity] = true
		}
	}
	seen := map[string]bool{}
	for _, s := range all {
		text, number := s.measures()
		switch {
		case s.redundancy(), s.silent(), number && said[s.entity], seen[s.entity]:
			continue
		case number:
			g.Members = append(g.Members, group.Member{ID: s.entity, Name: s.name + " " + s.entity, Active: s.status == "ok", State: text})
		default:
			s.supply(&g)
		}
		seen[s.entity] = true
	}
	g.Expected = len(g.Members)
	return finish(g, append(all, sensors(units)...), min(1, len(g.Members)-1))
}

// supply adds a power supply that tells its states; see table 42-3 of the IPMI
// specification.
func (s sensor) supply(g *group.Group) {
	m := group.Member{ID: s.entity, Name: s.name + " " + s.entity, State: strings.Join(s.words, ", ")}
	present := false
	m.Active = true
	for _, word := range s.words {
		switch lower := strings.ToLower(word); {
		case reading.MatchString(word):
		case lower == "presence detected", lower == "present", lower == "state deasserted", lower == "ok":
			present = true
		case lower == "predictive failure": // it still works
			present = true
		case strings.Contains(lower, "failure"), strings.Contains(lower, "lost"), strings.Contains(lower, "out-of-range"),
			strings.Contains(lower, "out of range"), strings.Contains(lower, "config"), lower == "state asserted", lower == "inactive",
			lower == "power off/down":
			m.Active, present = false, true
		case lower == "absent", lower == "not present":
			return
		default:
			m.Active = false
			g.Unclear(group.Word("the state of "+m.Name, word))
		}
	}
	m.Active = m.Active && present
	g.Members = append(g.Members, m)
}

// Fans reads "ipmitool -c sdr type Fan". How many of them a server needs, only a
// sensor of their redundancy tells.
func Fans(data []byte) []group.Group {
	g := group.Group{Kind: group.Fan, Name: "bmc"}
	all := sensors(data)
	for _, s := range all {
		if s.redundancy() || s.silent() {
			continue
		}
		m := group.Member{ID: s.id, Name: s.name, State: strings.Join(append([]string{s.status}, s.words...), " ")}
		switch s.status {
		case "ok", "nc", "lnc", "unc":
			m.Active = !strings.Contains(m.State, "Failure") && !strings.Contains(m.State, "Absent")
		case "cr", "lcr", "ucr", "nr", "lnr", "unr":
		default:
			g.Unclear(group.Word("the status of "+s.name, s.status))
		}
		g.Members = append(g.Members, m)
	}
	g.Expected = len(g.Members)
	return finish(g, all, 0)
}

// finish fills in what survives: what a sensor of redundancy says, or else the
// assumption that so many may fail of those that are there.
func finish(g group.Group, all []sensor, assumed int) []group.Group {
	if len(g.Members) == 0 {
		return nil
	}
	g.Known, g.Design = true, max(0, assumed)
	g.Tolerated = max(0, g.Design-(len(g.Members)-g.Active()))
	if g.Active() == 0 {
		g.Known = false
		g.Unclear(group.Word("the state of all "+g.Kind+"s", g.Members[0].State))
	}
	for _, s := range all {
		if s.redundancy() {
			s.judge(&g)
		}
	}
	return []group.Group{g}
}

// judge takes in what a sensor of redundancy says; see the event type 0Bh in
// table 42-2 of the IPMI specification.
func (s sensor) judge(g *group.Group) {
	for _, word := range s.words {
		g.Note("%s: %s.", s.name, word)
		switch lower := strings.ToLower(word); {
		case lower == "fully redundant", lower == "redundant":
			g.Design = max(1, g.Design)
			g.Tolerated = max(0, g.Design-(len(g.Members)-g.Active()))
			if g.Tolerated == 0 && g.Active() == len(g.Members) {
				g.Tolerated = 1
			}
		case strings.HasPrefix(lower, "redundancy degraded"): // some is left
			g.Design = max(2, g.Design)
			g.Tolerated = 1
		case lower == "redundancy lost", lower == "non-redundant: sufficient from redundant",
			lower == "non-redundant: sufficient resources from redundant":
			g.Design, g.Tolerated = max(1, g.Design), 0
		case strings.HasPrefix(lower, "non-redundant: insufficient"), lower == "insufficient resources":
			g.Tolerated, g.Failed = -1, s.name+" says "+word
		case strings.HasPrefix(lower, "non-redundant"): // and has always been
			g.Design, g.Tolerated = 0, 0
		case reading.MatchString(word):
		default:
			g.Unclear(group.Word(s.name, word))
		}
	}
}
