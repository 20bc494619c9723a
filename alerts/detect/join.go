package detect

import (
	"maps"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// binary reads an operator. Between two vectors it is a join, which is silently
// empty when the labels of the sides do not fit, and which fails or mixes hosts
// in a central Prometheus when it does not match on the instance.
func (r *reader) binary(e *parser.BinaryExpr) labelSet {
	left, right := r.read(e.LHS), r.read(e.RHS)
	if e.Op.IsComparisonOperator() && !e.ReturnBool || e.Op == parser.LAND || e.Op == parser.LUNLESS {
		r.filters = true
	}
	if left == nil {
		return right
	}
	if right == nil || e.VectorMatching == nil {
		return left
	}
	matching := e.VectorMatching
	r.sides(e, left, right)
	switch e.Op {
	case parser.LAND, parser.LUNLESS:
		return left
	case parser.LOR:
		return left.with(slices.Collect(maps.Keys(right))...)
	}
	switch matching.Card {
	case parser.CardManyToOne:
		return left.with(matching.Include...)
	case parser.CardOneToMany:
		return right.with(matching.Include...)
	}
	if matching.On {
		return left.only(matching.MatchingLabels...)
	}
	return left.without(matching.MatchingLabels...)
}

// sides checks that the two sides of a join can meet.
func (r *reader) sides(e *parser.BinaryExpr, left, right labelSet) {
	if r.unsure {
		return
	}
	matching := e.VectorMatching
	if matching.On {
		if !slices.Contains(matching.MatchingLabels, "instance") && !r.query {
			r.errorf(e, "a join without the instance mixes hosts in a central Prometheus; write %s on (instance, …)", e.Op)
		}
		for _, name := range matching.MatchingLabels {
			if !slices.Contains(target(), name) && (!left[name] || !right[name]) {
				r.errorf(e, "a join on the label %s, which only one of the sides %s and %s can have", name, left, right)
			}
		}
		if e.Op != parser.LOR {
			return
		}
	}
	for _, name := range matching.MatchingLabels {
		if !matching.On && slices.Contains(target(), name) {
			r.errorf(e, "ignoring (%s) mixes hosts in a central Prometheus", name)
		}
	}
	if !matching.On {
		left, right = left.without(matching.MatchingLabels...), right.without(matching.MatchingLabels...)
	}
	if !maps.Equal(left, right) {
		r.errorf(e, "the sides of %s have different labels, %s and %s, and never meet; write %s on (instance, …)", e.Op, left, right, e.Op)
	}
}
