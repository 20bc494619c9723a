// Package adaptec reads what arcconf says of controllers of Adaptec, now
// Microchip, and of IBM's ServeRAID.
package adaptec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// maxControllers bounds how many controllers are believed.
const maxControllers = 64

// Controllers returns how many there are, from the first line of any answer.
func Controllers(data []byte) (int, error) {
	for line := range strings.Lines(string(data)) {
		key, value, _ := raid.Pair(line)
		if strings.EqualFold(key, "Controllers found") {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > maxControllers {
				return 0, group.Word("the number of controllers", value)
			}
			return n, nil
		}
	}
	return 0, probes.Because(probes.Malformed, errors.New("the tool does not say how many controllers there are"))
}

// Parse reads what arcconf prints for "GETCONFIG n AL" and "GETSTATUS n".
func Parse(number int, config, status []byte) []group.Group {
	p := parser{name: fmt.Sprintf("c%d", number)}
	for line := range strings.Lines(string(config)) {
		p.line(line)
	}
	tasks := running(string(status))
	c := raid.Controller{State: p.state, Condition: controllerCondition(p.state), Protected: p.protected}
	for _, d := range p.disks {
		if d.State != "" { // an enclosure has none
			c.Disks = append(c.Disks, *d)
		}
	}
	g := group.Group{Kind: group.Adaptec, Name: p.name}
	c.Fill(&g)
	g.Spares -= len(p.dedicated)
	groups := []group.Group{g}
	for _, v := range p.volumes {
		groups = append(groups, p.volume(v, tasks))
	}
	return groups
}

type parser struct {
	name      string
	state     string
	section   string
	protected *bool
	checks    []string // what it says of checks in the background
	volumes   []*volume
	current   *volume
	disks     []*raid.Disk
	dedicated []string // for each dedicated spare, the number of its volume
}

type volume struct {
	raid.Volume
	id         string
	confirming bool
	checked    time.Time // the end of the last check; zero if it does not say so
}

var (
	volumeHeading = regexp.MustCompile(`(?i)^\s*logical (?:device|drive) number (\d+)\s*$`)
	diskHeading   = regexp.MustCompile(`(?i)^\s*device #(\d+)\s*$`)
	segment       = regexp.MustCompile(`^(?:group (\d+), )?(?:segment|device) (\d+)$`)
)

func (p *parser) line(line string) {
	text := strings.ToLower(strings.TrimSpace(line))
	if m := volumeHeading.FindStringSubmatch(line); m != nil {
		p.current = &volume{id: m[1]}
		p.volumes = append(p.volumes, p.current)
		return
	}
	if m := diskHeading.FindStringSubmatch(line); m != nil {
		p.disks = append(p.disks, &raid.Disk{Name: "device " + m[1]})
		return
	}
	if strings.HasSuffix(text, " information") && raid.Indent(line) == 0 {
		p.section, p.current = text, nil // what is indented is a part of its section
		return
	}
	key, value, ok := raid.Pair(line)
	key = strings.ToLower(key)
	switch {
	case !ok:
	case strings.HasPrefix(p.section, "controller"):
		p.controllerLine(key, value)
	case strings.HasPrefix(p.section, "physical"):
		p.diskLine(key, value)
	case p.current != nil:
		p.current.line(key, value)
	}
}

func (p *parser) controllerLine(key, value string) {
	switch key {
	case "controller status":
		p.state = value
	case "background consistency check", "background consistency check period", "data scrubbing":
		p.checks = append(p.checks, key+" "+value)
	case "status", "overall backup unit status", "backup power status":
		// The status of a battery, of a zero-maintenance module, or of a backup unit.
		switch word := strings.ToLower(value); {
		case strings.Contains(word, "not installed"), strings.Contains(word, "not present"), strings.Contains(word, "not available"),
			word == "not applicable", strings.Contains(word, "charging"), strings.Contains(word, "learning"), word == "":
		case strings.Contains(word, "optimal"), word == "ready", word == "ok", word == "okay", word == "normal":
			p.protected = new(true)
		default:
			p.protected = new(false)
		}
	}
}

func (v *volume) line(key, value string) {
	switch key {
	case "raid level":
		v.Level = value
	case "status of logical device", "status of logical drive":
		v.State, v.Condition = value, condition(value)
		v.confirming = v.confirming || strings.HasPrefix(strings.ToLower(value), "impacted")
	case "parity initialization status":
		v.confirming = !strings.EqualFold(value, "completed") && !strings.HasPrefix(strings.ToLower(value), "not")
	case "drive(s) (channel,device)": // of the first versions, which do not say more
		for place := range strings.FieldsSeq(value) {
			v.Disks = append(v.Disks, raid.Disk{Name: place, State: "listed", Role: raid.Active})
		}
	case "last consistency check completion time":
		v.checked = date(value)
	case "number of segments":
		if n, err := strconv.Atoi(value); err == nil && n < 1000 {
			v.Expected = n
		}
	}
	if m := segment.FindStringSubmatch(key); m != nil {
		v.segment(m, value)
	}
}

// segment reads "Present (Controller:1,Enclosure:0,Slot:3) SERIAL".
func (v *volume) segment(m []string, value string) {
	word, rest, _ := strings.Cut(value, "(")
	place, serial, _ := strings.Cut(rest, ")")
	word = strings.TrimSpace(word)
	d := raid.Disk{ID: strings.TrimSpace(serial), Name: strings.TrimSpace(place), State: word, Role: segmentRole(word)}
	if d.Name == "" {
		d.Name = "segment " + m[2]
	}
	if m[1] != "" {
		d.Span, _ = strconv.Atoi(m[1])
		if place == "" {
			d.Name = "segment " + m[1] + "/" + m[2]
		}
	}
	v.Disks = append(v.Disks, d)
}

func (p *parser) diskLine(key, value string) {
	if len(p.disks) == 0 {
		return
	}
	d := p.disks[len(p.disks)-1]
	switch {
	case key == "state":
		d.State, d.Role = value, diskRole(value)
	case key == "serial number":
		d.ID = value
	case strings.HasPrefix(key, "reported channel,device"):
		place, _, _ := strings.Cut(value, "(")
		d.Name = strings.TrimSpace(place)
	case key == "dedicated spare for" && d.Role == raid.Spare:
		// "logical device 1". One for the maxCache pool has a number that no volume has.
		fields := strings.Fields(value)
		if len(fields) > 0 {
			p.dedicated = append(p.dedicated, fields[len(fields)-1])
		}
	}
}

func (p *parser) volume(v *volume, tasks map[string]group.Sync) group.Group {
	g := group.Group{Kind: group.Adaptec, Name: p.name + "/ld" + v.id}
	v.Fill(&g)
	rebuilding := g.Sync.Rebuilding
	for _, number := range p.dedicated {
		if number == v.id {
			g.Spares++
		}
	}
	g.Sync = tasks[v.id]
	g.Sync.Rebuilding = g.Sync.Rebuilding || rebuilding
	g.Sync.Confirming = v.confirming
	if g.Err == nil && g.Design > 0 {
		g.Scrub = group.Scrub{Possible: !v.checked.IsZero() || !p.background(), Last: v.checked, Watched: true}
	}
	if len(p.checks) > 0 {
		g.Note("The controller says of checks: %s.", strings.Join(p.checks, ", "))
	}
	return g
}

// background reports whether the controller checks all volumes over and over, of
// which it does not say how far it is.
func (p *parser) background() bool {
	return slices.ContainsFunc(p.checks, func(said string) bool {
		return !strings.Contains(said, "period") && !strings.HasSuffix(strings.ToLower(said), " disabled")
	})
}

// date reads a time, in UTC, because the tool runs so. It is zero if there was
// none.
func date(text string) (t time.Time) {
	for _, form := range []string{time.DateTime, "01/02/2006 15:04:05", "Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006"} {
		if t, err := time.Parse(form, text); err == nil {
			return t
		}
	}
	return t
}

// running returns what is done to each logical device, and how far it is.
func running(text string) map[string]group.Sync {
	all := map[string]group.Sync{}
	device, operation := "", ""
	for line := range strings.Lines(text) {
		key, value, _ := raid.Pair(line)
		switch strings.ToLower(key) {
		case "logical device", "logical drive":
			device, operation = value, ""
		case "current operation":
			operation = strings.ToLower(value)
		case "percentage complete":
			ratio, ok := raid.Number(value)
			if !ok || device == "" {
				continue
			}
			s := group.Sync{HasRatio: true, Ratio: ratio}
			s.Rebuilding = strings.Contains(operation, "rebuild")
			s.Scrubbing = strings.Contains(operation, "verify") || strings.Contains(operation, "consistency")
			if s.Rebuilding || s.Scrubbing {
				all[device] = s
			}
		}
	}
	return all
}
