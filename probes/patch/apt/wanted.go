package apt

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"hygiene_exporter/probes/patch/apt/deb822"
)

// maxSearches bounds how often the indexes are read for packages that are not
// installed. Each reading finds what those of the one before need.
const maxSearches = 8

// search reads the packages that are not installed and that something newer
// needs, directly or not. Without anything new to need nothing is read.
func (v *view) search(ctx context.Context) error {
	asked := map[string]bool{}
	for range maxSearches {
		wanted := v.wanted(asked)
		if len(wanted) == 0 {
			return nil
		}
		for _, i := range v.indexes() {
			if err := v.packages.extend(ctx, v.tracked, i, wanted); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				i.repository.err = errors.Join(i.repository.err, err)
			}
		}
	}
	return nil
}

// wanted returns the names that candidates need and that nothing known
// fulfils, except those that were asked for already.
func (v *view) wanted(asked map[string]bool) map[string]bool {
	p := &plan{view: v, choice: map[*pkg]*ver{}}
	for _, known := range v.packages.sorted() {
		if candidate := v.policy.candidate(known); candidate != nil {
			p.choice[known] = candidate
		} else if known.current != nil {
			p.choice[known] = known.current
		}
	}
	p.index()
	wanted := map[string]bool{}
	for known, candidate := range p.choice {
		if candidate == known.current {
			continue
		}
		for _, group := range candidate.relations().needs {
			if p.satisfied(known, group) {
				continue
			}
			for _, r := range group {
				if !asked[r.name] {
					asked[r.name], wanted[r.name] = true, true
				}
			}
		}
	}
	return wanted
}

var providesField = []byte("\nProvides:")

// extend adds the packages of an index that have or provide a wanted name.
func (p *packages) extend(ctx context.Context, t *tracked, i *index, wanted map[string]bool) error {
	return i.scan(ctx, t, func(s deb822.Stanza) {
		name := nameOf(s)
		if !wanted[string(name)] && !providesAny(s, wanted) {
			return
		}
		text, architecture := identity(s)
		if len(text) == 0 {
			return
		}
		v, fresh := p.add(string(name), p.architecture(string(architecture))).at(string(text))
		if fresh {
			v.fill(s)
		}
		if !slices.Contains(v.indexes, i) {
			v.indexes = append(v.indexes, i)
		}
	})
}

func providesAny(s deb822.Stanza, wanted map[string]bool) bool {
	_, rest, found := bytes.Cut(s, providesField)
	if !found {
		return false
	}
	field, _, _ := strings.Cut(string(rest), "\n")
	for _, group := range parseRelations(field) {
		for _, r := range group {
			if wanted[r.name] {
				return true
			}
		}
	}
	return false
}
