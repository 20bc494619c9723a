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
	why     map[*pkg]string
	scores  map[*pkg]int
	users   map[string][]*pkg // packages with a version that names the name in a dependency
	offers  map[string][]*pkg // packages with a version that has or provides the name
	list    []*pkg            // what was installed, by name
	changed bool
}

// maxRounds bounds the resolution, which ends much earlier unless packages
// contradict each other in a circle.
const maxRounds = 50

// resolve makes the plan.
func (v *view) resolve() *plan {
	p := &plan{view: v, choice: map[*pkg]*ver{}, fixed: map[*pkg]bool{}, why: map[*pkg]string{}}
	p.list = slices.DeleteFunc(v.packages.sorted(), func(known *pkg) bool { return known.current == nil })
	for _, known := range p.list {
		p.choice[known] = known.current
	}
	p.index()
	broken := p.broken()
	for _, known := range p.list {
		candidate := v.policy.candidate(known)
		if candidate == nil || candidate == known.current {
			continue
		}
		switch {
		case known.held, v.phasedOut(candidate) != "":
			p.fixed[known] = true
		case broken != "":
			p.why[known] = broken
		case !p.synchronised(known, candidate):
			p.why[known] = "its other architecture has another candidate, and both must have the same version"
		default:
			p.choice[known] = candidate
		}
	}
	p.score()
	for range maxRounds {
		p.changed = false
		p.round()
		if !p.changed {
			break
		}
	}
	return p
}

// index notes who may be named by whom.
func (p *plan) index() {
	p.users, p.offers = map[string][]*pkg{}, map[string][]*pkg{}
	note := func(index map[string][]*pkg, name string, known *pkg) {
		if list := index[name]; len(list) == 0 || list[len(list)-1] != known {
			index[name] = append(list, known)
		}
	}
	for _, known := range p.view.packages.sorted() {
		note(p.offers, known.name, known)
		for _, v := range known.versions {
			for _, provided := range v.provided() {
				note(p.offers, provided.name, known)
			}
			if v != known.current && !v.newerThanCurrent() {
				continue
			}
			for _, group := range v.relations().needs {
				for _, r := range group {
					note(p.users, r.name, known)
				}
			}
		}
	}
}

func (v *ver) newerThanCurrent() bool {
	return v.pkg.current == nil || v.newerThan(v.pkg.current)
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

// round looks once at everything that is chosen, the most important first.
func (p *plan) round() {
	order := make([]*pkg, 0, len(p.choice))
	for known, chosen := range p.choice {
		if chosen != nil {
			order = append(order, known)
		}
	}
	slices.SortFunc(order, func(a, b *pkg) int { return p.before(a, b) })
	for _, known := range order {
		for group := p.missing(known); group != nil; group = p.missing(known) {
			if !p.fulfil(known, group) {
				break
			}
		}
		p.refuse(known)
	}
}

// fulfil does something about a dependency that is not fulfilled, and reports
// whether there is anything left to look at.
func (p *plan) fulfil(known *pkg, group []relation) bool {
	if p.install(known, group, 0) {
		p.changed = true
		return true
	}
	upgraded := known.current != nil && p.choice[known] != known.current
	switch {
	case upgraded:
		p.keep(known, "it needs "+print(group)+", which cannot be installed")
	case known.current == nil:
		p.remove(known)
	default: // something else was changed that it needs as it was
		p.protect(known, group)
	}
	return false
}

// protect decides between an installed package and a change of what it needs.
func (p *plan) protect(known *pkg, group []relation) {
	for _, r := range group {
		for _, other := range p.offers[r.name] {
			now := other.current
			if now == nil || p.choice[other] == now || !now.satisfies(r, known.arch, p.view.native) {
				continue
			}
			if p.fixed[known] || p.scores[known] > p.scores[other] {
				if p.choice[other] == nil {
					p.choice[other] = now // what wants it away has to give way
					p.fixed[other] = true
					p.changed = true
				} else {
					p.keep(other, fmt.Sprintf("%s needs it as it is", known))
				}
				return
			}
		}
	}
	if !p.fixed[known] {
		p.remove(known)
	}
}

// refuse decides between a package and those that it must not be together with.
func (p *plan) refuse(known *pkg) {
	for _, group := range p.choice[known].refusals() {
		for _, r := range group {
			for _, other := range p.offers[r.name] {
				chosen := p.choice[other]
				if other.name == known.name || chosen == nil || !r.matches(chosen) || r.arch != "" && r.arch != "any" && r.arch != other.arch {
					continue
				}
				if !p.separate(known, other, r) {
					return
				}
			}
		}
	}
}

// refusals returns what a version must not be together with; nil has none.
func (v *ver) refusals() [][]relation {
	if v == nil {
		return nil
	}
	return v.relations().refused
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
