package apt

import (
	"fmt"
	"slices"
	"strings"
)

// A plan is what apt would make of the host: the version of each package after
// an upgrade of all of them. It begins with everything newer that is neither on
// hold nor phased, and takes back what cannot be, as apt does: what needs
// something that cannot be installed stays as it is, and of two packages that
// cannot be together the one with the lower score gives way.
type plan struct {
	view    *view
	choice  map[*pkg]*ver // after the upgrade; nil is removed or not installed
	fixed   map[*pkg]bool // must stay as they are: on hold, or phased
	given   map[*pkg]bool // given up: what they need cannot be installed
	before  map[*pkg]bool // were to be changed before packages had to give way to each other
	why     map[*pkg]string
	scores  map[*pkg]int
	offers  map[string][]*pkg // packages with a version that has or provides the name
	list    []*pkg            // what was installed, by name
	changed bool
}

// maxRounds bounds the resolution, which ends much earlier unless packages
// contradict each other in a circle.
const maxRounds = 20

// resolve makes the plan.
func (v *view) resolve() *plan {
	p := &plan{view: v, choice: map[*pkg]*ver{}, fixed: map[*pkg]bool{}, given: map[*pkg]bool{}, before: map[*pkg]bool{}, why: map[*pkg]string{}}
	p.list = slices.DeleteFunc(v.packages.sorted(), func(known *pkg) bool { return known.current == nil })
	for _, known := range p.list {
		p.choice[known] = known.current
	}
	p.index()
	broken := p.broken()
	for _, known := range p.list {
		candidate := v.policy.candidate(known)
		p.fixed[known] = known.held
		if candidate == nil || candidate == known.current || known.held {
			continue
		}
		switch {
		case v.phasedOut(candidate) != "":
			p.fixed[known] = true
		case broken != "":
			p.why[known] = broken
		case !p.synchronised(known, candidate):
			p.why[known] = "its other architecture has another candidate, and both must have the same version"
		default:
			p.choice[known] = candidate
		}
	}
	for _, known := range p.list {
		p.mark(known)
	}
	for known, chosen := range p.choice {
		p.before[known] = chosen != nil && chosen != known.current
	}
	p.score()
	order := p.order()
	for n := range maxRounds {
		p.changed = false
		for _, known := range order {
			p.reinstate(known)
			p.settle(known, n)
		}
		if !p.changed {
			break
		}
	}
	return p
}

// mark installs what a package needs in its chosen version, or gives that
// version up for good.
func (p *plan) mark(known *pkg) {
	if p.choice[known] == nil || p.choice[known] == known.current {
		return
	}
	for group := p.missing(known); group != nil; group = p.missing(known) {
		if !p.install(known, group, 0) {
			p.choice[known], p.given[known] = known.current, true
			p.why[known] = "it needs " + print(group) + ", which cannot be installed"
			return
		}
	}
	for _, r := range p.clashes(known) {
		if !p.separate(known, r.with, r.relation) {
			return
		}
	}
}

// index notes who has or provides a name.
func (p *plan) index() {
	p.offers = map[string][]*pkg{}
	note := func(name string, known *pkg) {
		if list := p.offers[name]; len(list) == 0 || list[len(list)-1] != known {
			p.offers[name] = append(list, known)
		}
	}
	for _, known := range p.view.packages.sorted() {
		note(known.name, known)
		for _, v := range known.versions {
			for _, provided := range v.provided() {
				note(provided.name, known)
			}
		}
	}
}

// satisfied reports whether a dependency of a package is fulfilled by what is
// chosen.
func (p *plan) satisfied(of *pkg, group []relation) bool {
	for _, r := range group {
		for _, other := range p.offers[r.name] {
			if chosen := p.choice[other]; chosen != nil && chosen.satisfies(r, of.arch, p.view.native) {
				return true
			}
		}
	}
	return false
}

// broken names a dependency that is not fulfilled before any upgrade. apt
// refuses to upgrade anything then.
func (p *plan) broken() string {
	for _, known := range p.list {
		if group := p.missing(known); group != nil {
			return fmt.Sprintf("apt upgrades nothing before \"apt --fix-broken install\": %s needs %s, which is not installed", known, print(group))
		}
	}
	return ""
}

// missing returns the first dependency of a package that is not fulfilled.
func (p *plan) missing(known *pkg) []relation {
	if chosen := p.choice[known]; chosen != nil {
		for _, group := range chosen.relations().needs {
			if !p.satisfied(known, group) {
				return group
			}
		}
	}
	return nil
}

// synchronised reports whether the packages of the same name that must have the
// same version will have it.
func (p *plan) synchronised(known *pkg, candidate *ver) bool {
	if candidate.multiArch != "same" {
		return true
	}
	for _, sibling := range p.view.packages.byName[known.name] {
		if sibling == known || sibling.current == nil {
			continue
		}
		other := p.view.policy.candidate(sibling)
		if other != nil && other.version != candidate.version && other.multiArch == "same" && len(other.indexes) > 0 {
			return false
		}
	}
	return true
}

// candidate returns what a package can be upgraded to, which is what is
// installed once the upgrade was given up.
func (p *plan) candidate(known *pkg) *ver {
	if p.given[known] {
		return known.current
	}
	return p.view.policy.candidate(known)
}

// A clash is a package that another must not be together with.
type clash struct {
	with *pkg
	relation
}

// clashes returns what a package must not be together with, and is.
func (p *plan) clashes(known *pkg) []clash {
	var list []clash
	for _, group := range p.choice[known].refusals() {
		for _, r := range group {
			for _, other := range p.offers[r.name] {
				chosen := p.choice[other]
				if other.name != known.name && chosen != nil && r.matches(chosen) && (r.arch == "" || r.arch == "any" || r.arch == other.arch) {
					list = append(list, clash{other, r})
				}
			}
		}
	}
	return list
}

// refusals returns what a version must not be together with; nil has none.
func (v *ver) refusals() [][]relation {
	if v == nil {
		return nil
	}
	return v.relations().refused
}

// sound reports whether a package has all that it needs and nothing that it
// refuses. What was unsound before any upgrade counts as sound.
func (p *plan) sound(known *pkg) bool {
	if p.missing(known) != nil {
		return false
	}
	return !slices.ContainsFunc(p.clashes(known), func(c clash) bool { return !p.old(known, c) })
}

// old reports whether a clash was there before.
func (p *plan) old(known *pkg, c clash) bool {
	return known.current != nil && p.choice[known] == known.current && p.choice[c.with] == c.with.current
}

// reinstate tries once to upgrade what was kept back for the sake of
// another, which may have been kept back itself meanwhile.
func (p *plan) reinstate(known *pkg) {
	if !p.before[known] || known.current == nil || p.fixed[known] || p.given[known] || p.choice[known] != known.current {
		return
	}
	p.before[known] = false // once, or two that exclude each other would go on for ever
	unsound := p.unsound()
	p.choice[known] = p.candidate(known)
	if !p.sound(known) || p.unsound() > unsound {
		p.choice[known] = known.current
		return
	}
	delete(p.why, known)
}

// unsound counts the packages that are not sound.
func (p *plan) unsound() (n int) {
	for known, chosen := range p.choice {
		if chosen != nil && !p.sound(known) {
			n++
		}
	}
	return n
}

// settle does something about a package that is not sound: it, or what is in
// its way, is kept as it was or removed. The one with the lower score gives way,
// but what was upgraded goes back first.
func (p *plan) settle(known *pkg, round int) {
	if p.choice[known] == nil || p.sound(known) {
		return
	}
	for _, group := range p.choice[known].relations().needs {
		if p.satisfied(known, group) {
			continue
		}
		if p.fulfil(known, group, round) {
			return
		}
	}
	for _, c := range p.clashes(known) {
		if p.old(known, c) {
			continue
		}
		if p.scores[known] <= p.scores[c.with] {
			p.yield(known, fmt.Sprintf("it must not be together with %s %s", c.with, p.choice[c.with].version))
			return
		}
		p.push(known, c)
	}
}

// fulfil does something about a dependency that is not fulfilled, and reports
// whether that was to change the package itself.
func (p *plan) fulfil(known *pkg, group []relation, round int) bool {
	why := "it needs " + print(group) + ", which is not installed then"
	for _, r := range group {
		for _, other := range p.offers[r.name] {
			if !slices.ContainsFunc(other.versions, func(v *ver) bool { return v.satisfies(r, known.arch, p.view.native) }) {
				continue
			}
			now := other.current
			wasMet := now != nil && now.satisfies(r, known.arch, p.view.native)
			switch {
			case wasMet && p.scores[known] > p.scores[other]:
				if p.fixed[other] {
					continue
				}
				p.keep(other, fmt.Sprintf("%s needs it as it is", known))
				if round > 1 { // they go in a circle: whoever is needed gains weight
					p.scores[other] = max(p.scores[other], p.scores[known])
				}
				return false
			case p.fixed[known]:
				continue
			}
			p.yield(known, why)
			if round > 1 && p.choice[known] == nil {
				p.scores[known] = max(p.scores[known], p.scores[other])
			}
			return true
		}
	}
	if p.fixed[known] {
		return false
	}
	p.yield(known, why)
	return true
}

// yield takes back the upgrade of a package, and removes the package if that
// does not help.
func (p *plan) yield(known *pkg, why string) {
	if p.fixed[known] {
		return
	}
	if known.current != nil {
		p.keep(known, why)
		if p.sound(known) {
			return
		}
	}
	p.remove(known)
}

// push makes room for a package whose score is higher.
func (p *plan) push(known *pkg, c clash) {
	if candidate := p.candidate(c.with); candidate != nil && !p.fixed[c.with] && !c.matches(candidate) && p.choice[c.with] != candidate {
		p.choice[c.with], p.changed = candidate, true
		return
	}
	switch {
	case p.fixed[c.with]:
	case c.with.current != nil && p.choice[c.with] != c.with.current && !c.matches(c.with.current):
		p.keep(c.with, fmt.Sprintf("%s must not be together with the newer version", known))
	default:
		p.remove(c.with)
	}
}

// separate ends a conflict, and reports whether the package that has it is
// still as it was.
func (p *plan) separate(known, other *pkg, r relation) bool {
	upgraded := known.current != nil && p.choice[known] != known.current
	switch {
	case known.current == p.choice[known] && known.current != nil && other.current == p.choice[other]:
		return true // it was so before
	case other.current != nil && p.choice[other] != other.current && !r.matches(other.current):
		p.keep(other, fmt.Sprintf("%s must not be together with the newer version", known))
		return true
	case p.fixed[other] || p.choice[other].essential || upgraded && p.scores[other] > p.scores[known] && p.fixed[other]:
		if upgraded {
			p.keep(known, fmt.Sprintf("it must not be together with %s %s", other, p.choice[other].version))
		} else if !p.fixed[known] {
			p.remove(known)
		}
		return false
	}
	p.remove(other)
	return true
}

func (p *plan) keep(known *pkg, why string) {
	p.choice[known], p.why[known], p.changed = known.current, why, true
}

func (p *plan) remove(known *pkg) {
	if p.choice[known] != nil {
		p.choice[known], p.changed = nil, true
		if known.current != nil {
			p.why[known] = "apt would remove it for the sake of others"
		}
	}
}

// install tries to fulfil a dependency with what is not installed, and all that
// it needs in turn.
func (p *plan) install(of *pkg, group []relation, depth int) bool {
	if depth > 30 {
		return false
	}
	for _, r := range group {
		for _, other := range p.offers[r.name] {
			if other.current != nil || p.choice[other] != nil {
				continue
			}
			candidate := p.view.policy.candidate(other)
			if candidate == nil || !candidate.satisfies(r, of.arch, p.view.native) || p.unwelcome(candidate) {
				continue
			}
			p.choice[other] = candidate
			fits := true
			for _, need := range candidate.relations().needs {
				if !p.satisfied(other, need) && !p.install(other, need, depth+1) {
					fits = false
					break
				}
			}
			if fits {
				return true
			}
			p.choice[other] = nil
		}
	}
	return false
}

// unwelcome reports whether a new package and something that must stay as it is
// cannot be together.
func (p *plan) unwelcome(candidate *ver) bool {
	for _, group := range candidate.refusals() {
		for _, r := range group {
			for _, other := range p.offers[r.name] {
				if chosen := p.choice[other]; chosen != nil && p.fixed[other] && other.name != candidate.pkg.name && r.matches(chosen) {
					return true
				}
			}
		}
	}
	return slices.ContainsFunc(p.list, func(known *pkg) bool {
		return p.fixed[known] && slices.ContainsFunc(p.choice[known].refusals(), func(group []relation) bool { return group[0].matches(candidate) })
	})
}

// print shows a dependency.
func print(group []relation) string {
	var alternatives []string
	for _, r := range group {
		text := r.name
		if r.op != "" {
			text += " (" + r.op + " " + r.version + ")"
		}
		alternatives = append(alternatives, text)
	}
	return strings.Join(alternatives, " | ")
}
