package mdraid

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// A Line is what /proc/mdstat says of one array.
type Line struct {
	Name     string
	State    string // active, inactive or broken
	Level    string // empty unless the array runs
	External string // the metadata format of a container
	Members  []Listed

	Counted       bool // whether the next two are there; raid0 and linear have none
	Disks, Usable int
	Pattern       string // of slots, U where one is usable
	Copies        string // of raid10, such as "2 near-copies"

	Action  string // such as recovery, resync, reshape, check
	Waiting bool
	Percent float64
	HasPart bool
}

// A Listed member, such as sda1[2](S).
type Listed struct {
	Name   string
	Number int
	Flags  string
}

var (
	listed  = regexp.MustCompile(`^(\S+?)\[(\d+)\]((?:\([A-Z]\))*)$`)
	counted = regexp.MustCompile(`\[(\d+)/(\d+)\] \[([U_]+)\]`)
	action  = regexp.MustCompile(`\b(recovery|resync|reshape|check|repair)\s*=\s*(?:([0-9.]+)%|(DELAYED|PENDING|REMOTE))`)
	spread  = regexp.MustCompile(`\b(\d+) (near|far|offset)-copies`)
	outside = regexp.MustCompile(`\bsuper external:(\S+)`)
	named   = regexp.MustCompile(`^(md\S*) : (\w+)(.*)$`)
)

// ParseStat reads /proc/mdstat. Lines that it does not know are passed over, and
// none of them hides an array.
func ParseStat(data []byte) []Line {
	var lines []Line
	for text := range strings.Lines(string(data)) {
		text = strings.TrimRight(text, "\r\n")
		if m := named.FindStringSubmatch(text); m != nil {
			lines = append(lines, head(m[1], m[2], strings.Fields(m[3])))
			continue
		}
		if len(lines) == 0 || text == "" || text[0] != ' ' && text[0] != '\t' {
			continue
		}
		lines[len(lines)-1].more(text)
	}
	return lines
}

// head reads the first line of an array: its state, its level and its members.
func head(name, state string, words []string) Line {
	line := Line{Name: name, State: state}
	for _, word := range words {
		m := listed.FindStringSubmatch(word)
		switch {
		case m != nil:
			number, _ := strconv.Atoi(m[2])
			line.Members = append(line.Members, Listed{m[1], number, strings.NewReplacer("(", "", ")", "").Replace(m[3])})
		case strings.HasPrefix(word, "("): // (read-only), (auto-read-only)
		case line.Level == "" && len(line.Members) == 0:
			line.Level = word
		}
	}
	return line
}

// more reads a further line of an array.
func (l *Line) more(text string) {
	if m := counted.FindStringSubmatch(text); m != nil && !l.Counted {
		disks, err := strconv.Atoi(m[1])
		usable, again := strconv.Atoi(m[2])
		if err == nil && again == nil {
			l.Counted, l.Disks, l.Usable, l.Pattern = true, disks, usable, m[3]
		}
	}
	if all := spread.FindAllString(text, -1); l.Copies == "" {
		l.Copies = strings.Join(all, " ")
	}
	if m := outside.FindStringSubmatch(text); m != nil {
		l.External = m[1]
	}
	if m := action.FindStringSubmatch(text); m != nil {
		l.Action, l.Waiting = m[1], m[3] != ""
		if percent, err := strconv.ParseFloat(m[2], 64); err == nil {
			l.HasPart, l.Percent = true, percent
		}
	}
}

// container reports whether the line is one that only holds metadata.
func (l *Line) container() bool {
	return l.State == "inactive" && l.External != "" && l.External[0] != '/' && l.External[0] != '-'
}

// agrees compares the line with what sysfs said of the same array, and returns
// the line's own words.
func (l *Line) agrees(g *group.Group) (string, bool) {
	if l.State == "inactive" {
		return "that it is inactive", g.Failed != ""
	}
	if !l.Counted {
		return "that it is " + l.State, true
	}
	said := fmt.Sprintf("that %d of %d members are usable", l.Usable, l.Disks)
	if l.Action == "reshape" { // it says how many there will be, and only what lacks can be compared
		return said, g.Failed != "" || l.Disks-l.Usable == g.Expected-g.Active()
	}
	return said, g.Failed != "" || l.Disks == g.Expected && l.Usable == g.Active()
}

// Group judges an array by this line alone, where sysfs does not show it.
func (l *Line) Group() (group.Group, bool) {
	g := group.Group{Kind: group.MDRaid, Name: l.Name, Expected: l.Disks}
	if l.container() {
		return g, false
	}
	// The number in brackets is no slot: which member is missing in a slot is
	// not said. Only the pattern counts.
	a := array{Group: &g, level: l.Level, current: map[int]bool{}, filled: map[int]bool{}}
	for slot, sign := range l.Pattern {
		a.current[slot] = sign == 'U'
		if sign != 'U' {
			delete(a.current, slot)
		}
	}
	spare := 0
	for _, m := range l.Members {
		aside := strings.ContainsAny(m.Flags, "SJ")
		failed := strings.Contains(m.Flags, "F")
		if strings.Contains(m.Flags, "S") && !failed {
			spare++
		}
		g.Members = append(g.Members, group.Member{ID: m.Name, Name: m.Name, Active: !aside && !failed && l.State != "inactive", Spare: aside || failed, State: m.Flags})
	}
	g.Spares = spare
	l.rebuilt(&g)
	if !l.Counted && l.Level != "" {
		g.Expected = g.Present()
	}
	switch l.State {
	case "active":
	case "inactive", "broken":
		g.Failed = "the array is " + l.State
		g.Spares = 0
	default:
		g.Unclear(group.Word("the state in "+mdstatPath, l.State))
	}
	if l.Pattern != "" && len(l.Pattern) != l.Disks {
		g.Unclear(probes.Because(probes.Malformed, errors.New("the slots in "+mdstatPath+" are not as many as the members")))
	}
	layout, err := l.layout()
	if err != nil {
		g.Unclear(err)
	}
	a.tolerate(l.Disks-l.Usable, layout)
	if l.Action == "recovery" {
		g.Sync.Rebuilding = !l.Waiting
	}
	g.Sync.Confirming = l.Action == "resync"
	g.Sync.Scrubbing = l.Action == "check" || l.Action == "repair"
	g.Sync.HasRatio, g.Sync.Ratio = l.HasPart, min(1, l.Percent/100)
	g.Sort()
	return g, true
}

// rebuilt takes the newest members for those that are not current yet: md gives
// a member that joins the next free number.
func (l *Line) rebuilt(g *group.Group) {
	surplus := g.Active() - l.Usable
	if !l.Counted || surplus <= 0 {
		return
	}
	order := slices.Clone(l.Members)
	slices.SortFunc(order, func(a, b Listed) int { return b.Number - a.Number })
	for _, m := range order {
		i := slices.IndexFunc(g.Members, func(have group.Member) bool { return have.Name == m.Name })
		if g.Members[i].Active && surplus > 0 {
			g.Members[i].Active = false
			surplus--
		}
	}
}

// layout returns the layout of a raid10 array as sysfs would number it.
func (l *Line) layout() (int, error) {
	if l.Level != "raid10" {
		return 0, nil
	}
	layout := 1<<8 | 1
	for _, m := range spread.FindAllStringSubmatch(l.Copies, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > 255 {
			return 0, group.Word("the number of copies in "+mdstatPath, m[1])
		}
		switch m[2] {
		case "near":
			layout = layout&^0xff | n
		case "far":
			layout = layout&0xff | n<<8
		case "offset":
			layout = layout&0xff | n<<8 | 1<<16
		}
	}
	return layout, nil
}
