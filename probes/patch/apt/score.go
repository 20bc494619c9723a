package apt

import (
	"cmp"
	"slices"
	"strings"
)

// score tells how important packages are, as apt does when something has to
// give way: by their priority, by who needs them, and above all by whether they
// are essential or must stay as they are.
func (p *plan) score() {
	p.scores = map[*pkg]int{}
	for known, chosen := range p.choice {
		if chosen == nil {
			continue
		}
		p.scores[known] += p.ownScore(known, chosen)
		p.lend(known, chosen)
	}
	own := p.scores
	p.scores = map[*pkg]int{}
	for known := range p.choice {
		p.scores[known] += own[known]
	}
	for known, chosen := range p.choice {
		if chosen == nil || own[known] <= 0 {
			continue
		}
		for _, groups := range [][][]relation{chosen.relations().needs, chosen.relations().recommended} {
			for _, group := range groups {
				for _, r := range group {
					for _, other := range p.offers[r.name] {
						if other.name == r.name && p.choice[other] != nil && other.arch == known.arch {
							p.scores[other] += own[known]
						}
					}
				}
			}
		}
	}
	for known, chosen := range p.choice {
		if p.fixed[known] {
			p.scores[known] += 10000
		}
		if chosen != nil && chosen.essential {
			p.scores[known] += 5000
		}
	}
}

// ownScore is what a package has of itself.
func (p *plan) ownScore(known *pkg, chosen *ver) int {
	score := -2
	if len(chosen.indexes) > 0 {
		switch chosen.priority {
		case "required":
			score = 3
		case "important":
			score = 2
		case "standard":
			score = 1
		case "optional":
			score = -1
		}
	}
	if chosen.essential {
		score += 100
	}
	if candidate := p.candidate(known); known.current != nil && candidate != nil && len(candidate.indexes) > 0 {
		score++
	}
	return score
}

// lend gives a point to what a package needs, and takes one from what it
// refuses.
func (p *plan) lend(known *pkg, chosen *ver) {
	give := func(groups [][]relation, points int) {
		for _, group := range groups {
			for _, r := range group {
				for _, other := range p.offers[r.name] {
					if v := p.choice[other]; v != nil && other != known && v.satisfies(r, known.arch, p.view.native) {
						p.scores[other] += points
					}
				}
			}
		}
	}
	give(chosen.relations().needs, 1)
	give(chosen.relations().recommended, 1)
	give(chosen.relations().refused, -1)
}

// order lists what is chosen, the most important first.
func (p *plan) order() []*pkg {
	var list []*pkg
	for known, chosen := range p.choice {
		if chosen != nil {
			list = append(list, known)
		}
	}
	slices.SortFunc(list, func(a, b *pkg) int {
		return cmp.Or(cmp.Compare(p.scores[b], p.scores[a]), strings.Compare(a.name, b.name), strings.Compare(a.arch, b.arch))
	})
	return list
}
