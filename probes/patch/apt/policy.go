package apt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/apt/deb822"
	"hygiene_exporter/probes/patch/apt/version"
)

// never is the priority of an index that must not be used at all.
const never = math.MinInt16

// A pin is one record of the preferences (apt_preferences(5)).
type pin struct {
	name     pattern // of packages; unused when it is general
	arch     string  // empty means the native one
	source   bool    // whether the name is that of a source package
	general  bool    // whether it is for whatever is in an index
	target   target
	priority int
	place    string
}

// A policy decides which version of a package apt would install.
type policy struct {
	native string
	pins   []pin
	now    int // priority of what is installed and in no index
}

// newPolicy gives the indexes their priorities.
func newPolicy(native, defaultRelease string, pins []pin, indexes []*index) *policy {
	if defaultRelease != "" {
		pins = append([]pin{{general: true, target: newTarget("release", defaultRelease), priority: 990, place: "APT::Default-Release"}}, pins...)
	}
	p := &policy{native: native, now: 100, pins: pins}
	for _, i := range indexes {
		i.priority = byDefault(i)
	}
	fixed := map[*index]bool{}
	fixedNow := false
	for _, g := range pins {
		if !g.general {
			continue
		}
		for _, i := range indexes {
			if (!fixed[i] || g.priority == never) && i.priority != never && g.target.matchesIndex(i) {
				i.priority, fixed[i] = g.priority, true
			}
		}
		if (!fixedNow || g.priority == never) && p.now != never && g.target.matchesStatus() {
			p.now, fixedNow = g.priority, true
		}
	}
	return p
}

// byDefault is the priority of an index that no preference speaks of.
func byDefault(i *index) int {
	switch {
	case i.repository.butAutomatic:
		return 100
	case i.repository.notAutomatic:
		return 1
	}
	return 500
}

// pinOf returns the first pin of the version's own.
func (p *policy) pinOf(v *ver) *pin {
	for i := range p.pins {
		if pin := &p.pins[i]; !pin.general && pin.names(v, p.native) && pin.target.matchesVersion(v) {
			return pin
		}
	}
	return nil
}

// names reports whether a pin is for the package of a version.
func (p *pin) names(v *ver, native string) bool {
	arch := p.arch
	if arch == "" || arch == "native" {
		arch = native
	}
	if arch != "any" && arch != v.pkg.arch {
		return false
	}
	if p.source {
		return p.name.matchesName(v.source)
	}
	return p.name.matchesName(v.pkg.name)
}

// matchesName compares the name of a package, whose case counts unless the
// pattern is wild.
func (p pattern) matchesName(name string) bool {
	return p.text == name || p.wild() && p.matches(name)
}

// priority returns the priority of a version.
func (p *policy) priority(v *ver) int {
	if pin := p.pinOf(v); pin != nil {
		if v == v.pkg.current && p.now != never {
			return pin.priority
		}
		for _, i := range v.indexes {
			if i.priority != never {
				return pin.priority
			}
		}
	}
	highest := math.MinInt32
	for _, i := range v.indexes {
		highest = max(highest, i.priority)
	}
	if v == v.pkg.current {
		highest = max(highest, p.now)
	}
	if highest == math.MinInt32 {
		return 0
	}
	return highest
}

// candidate returns the version that apt would install, or nil. It is older
// than what is installed only with a priority that demands it.
func (p *policy) candidate(of *pkg) *ver {
	var best *ver
	highest := -1
	for _, v := range of.versions {
		priority := p.priority(v)
		if priority == 0 || priority <= highest {
			continue
		}
		if of.current != nil && priority < 1000 && version.Compare(v.version, of.current.version) < 0 {
			continue
		}
		best, highest = v, priority
	}
	return best
}

// readPins reads a file of preferences. apt refuses the rest of a file behind a
// mistake.
func readPins(name string, data []byte) ([]pin, error) {
	var pins []pin
	for i, fields := range deb822.Parse(data) {
		more, err := readPin(fields)
		for j := range more {
			more[j].place = fmt.Sprintf("%s, entry %d", name, i+1)
		}
		pins = append(pins, more...)
		if err != nil {
			return pins, probes.Because(probes.Malformed, fmt.Errorf("entry %d: %w", i+1, err))
		}
	}
	return pins, nil
}

// readPin reads one record, which may name several packages. A record of a kind
// that is not known is ignored, as in apt.
func readPin(fields map[string]string) ([]pin, error) {
	names, ok := fields["package"]
	if !ok || names == "" {
		return nil, errors.New("names no package")
	}
	kind, data, _ := strings.Cut(strings.Join(strings.Fields(fields["pin"]), " "), " ")
	kind = strings.ToLower(kind)
	if !slices.Contains([]string{"version", "release", "origin"}, kind) || kind == "version" && names == "*" {
		return nil, nil
	}
	text := fields["pin-priority"]
	priority, err := strconv.Atoi(text)
	switch {
	case text == "never" && names == "*":
		priority = never
	case err != nil:
		return nil, fmt.Errorf("the priority %.20q is no number", text)
	case priority == 0:
		return nil, errors.New("the priority is 0")
	case priority < math.MinInt16 || priority > math.MaxInt16:
		return nil, fmt.Errorf("the priority %d is out of range", priority)
	default:
		priority = max(priority, never+1)
	}
	t := newTarget(kind, data)
	if names == "*" {
		return []pin{{general: true, target: t, priority: priority}}, nil
	}
	var pins []pin
	for name := range strings.FieldsSeq(names) {
		p := pin{target: t, priority: priority}
		name, p.source = strings.CutPrefix(name, "src:")
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			name, p.arch = name[:i], name[i+1:]
		}
		p.name = newPattern(name)
		pins = append(pins, p)
	}
	return pins, nil
}
