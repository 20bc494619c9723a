package detect

import (
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// functions lists those that mean the same on one sample as on many, and the
// same for one host as for many. absent, scalar and vector lose the host, and
// the functions over ranges are refused with the range.
func functions() []string {
	return []string{
		"abs", "ceil", "clamp", "clamp_max", "clamp_min", "floor", "label_join", "label_replace", "round", "sgn", "time",
	}
}

func (r *reader) call(e *parser.Call) labelSet {
	var result labelSet
	ranged := false
	for _, arg := range e.Args {
		ranged = ranged || arg.Type() == parser.ValueTypeMatrix
		if found := r.read(arg); found != nil {
			result = found
		}
	}
	if ranged {
		return result
	}
	if !slices.Contains(functions(), e.Func.Name) {
		r.errorf(e, "%s() is not for detection rules; use one of %s", e.Func.Name, strings.Join(functions(), ", "))
		return result
	}
	if strings.HasPrefix(e.Func.Name, "label_") && result != nil {
		return r.relabel(e, result)
	}
	return result
}

// relabel reads label_replace(v, dst, replacement, src, regex) and
// label_join(v, dst, separator, src…).
func (r *reader) relabel(e *parser.Call, result labelSet) labelSet {
	sources := e.Args[3:]
	if e.Func.Name == "label_replace" {
		sources = e.Args[3:4]
	}
	for _, source := range sources {
		if name, err := literal(source); err == nil && !result[name] && !r.unsure {
			r.errorf(source, "%s: the argument %s has no label %.40q", e.Func.Name, result, name)
		}
	}
	name, err := literal(e.Args[1])
	if err != nil {
		r.errorf(e, "%s: %w", e.Func.Name, err)
		return result
	}
	if slices.Contains(target(), name) {
		r.errorf(e, "%s: the label %s belongs to the central Prometheus", e.Func.Name, name)
	}
	return result.with(name)
}

var errNotLiteral = errors.New("a label is named by a text")

func literal(e parser.Expr) (string, error) {
	switch e := e.(type) {
	case *parser.StringLiteral:
		return e.Val, nil
	case *parser.ParenExpr:
		return literal(e.Expr)
	}
	return "", errNotLiteral
}
