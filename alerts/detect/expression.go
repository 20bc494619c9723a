package detect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// target holds the labels that a central Prometheus adds to every series and
// the agent does not have. An expression must keep them, or it mixes hosts.
func target() []string { return []string{"instance", "job"} }

// A labelSet holds the names of the labels that the results of an expression
// can have, without those of the target. Nil means a scalar or a string.
type labelSet map[string]bool

func (s labelSet) with(names ...string) labelSet {
	out := make(labelSet, len(s)+len(names))
	maps.Copy(out, s)
	for _, name := range names {
		if !slices.Contains(target(), name) {
			out[name] = true
		}
	}
	return out
}

func (s labelSet) without(names ...string) labelSet {
	out := s.with()
	for _, name := range names {
		delete(out, name)
	}
	return out
}

func (s labelSet) only(names ...string) labelSet {
	return s.without(slices.Collect(maps.Keys(s.without(names...)))...)
}

func (s labelSet) String() string {
	return "{" + strings.Join(slices.Sorted(maps.Keys(s)), ", ") + "}"
}

// A reader walks an expression, refuses what means nothing on a snapshot or
// something else in a central Prometheus, and works out the labels of the
// results.
type reader struct {
	metrics map[string]*probes.Metric
	query   bool // a query in a text, which is about one object and may name its target
	used    map[string]bool
	owned   bool // a metric with an owner is used
	filters bool // there is a comparison or a join, so that not every object is found
	unsure  bool // the labels of some selector are unknown, so those of the result are
	errs    []misuse
}

type misuse struct {
	at  posrange.Pos
	err error
}

func (r *reader) errorf(node parser.Node, format string, args ...any) {
	r.errs = append(r.errs, misuse{at: node.PositionRange().Start, err: fmt.Errorf(format, args...)})
}

// expression checks the expression of a rule, notes its metrics, and returns
// the labels that the results have, nil when they are not known.
func (l *loader) expression(at *yaml.Node, rule *Rule) labelSet {
	tree, err := parser.ParseExpr(rule.Expr)
	if err != nil {
		return nil // the reader of Prometheus has complained
	}
	r := &reader{metrics: l.metrics, used: make(map[string]bool)}
	result := r.read(tree)
	rule.Metrics = slices.Sorted(maps.Keys(r.used))
	if len(r.errs) > 0 {
		result = nil // or a mistake would be told twice
	} else {
		r.judge(tree, rule, result)
	}
	for _, misuse := range r.errs {
		number := line(at)
		if at != nil && at.Style == yaml.LiteralStyle {
			number += 1 + strings.Count(rule.Expr[:misuse.at], "\n")
		}
		l.errorf(number, "%s: %w", rule.Alert, misuse.err)
	}
	return result
}

// judge checks the results as a whole: one for each object, with its owner.
func (r *reader) judge(tree parser.Expr, rule *Rule, result labelSet) {
	if len(r.used) == 0 {
		r.errorf(tree, "the expression reads no metric")
		return
	}
	if result == nil {
		r.errorf(tree, "the result is one number, not a set of objects")
		return
	}
	if !r.filters {
		r.errorf(tree, "the expression compares nothing, so that it finds every object, good or bad")
	}
	object := probes.LabelObject
	switch {
	case rule.Object != "" && result[object]:
		r.errorf(tree, "the result has the label object and the rule sets it too")
	case rule.Object == "" && !result[object]:
		r.errorf(tree, "the result %s has no label object; a rule about the whole host sets object: host", result)
	case rule.Object == "" && r.owned && !result[probes.LabelOwner]:
		r.errorf(tree, "the result %s has lost the label owner, and nobody would be told", result)
	}
	for _, extra := range slices.Sorted(maps.Keys(result.without(object, probes.LabelOwner))) {
		r.errorf(tree, "the result has the label %s, so that an object can have several; remove it, as in max without (%s) (…)", extra, extra)
	}
	if rule.Probe != "" && rule.Probe != collector.AgentProbe && !slices.ContainsFunc(rule.Metrics, func(name string) bool {
		return strings.HasPrefix(name, metricPrefix(rule.Probe))
	}) {
		r.errorf(tree, "the expression reads no metric of the probe %.40q", rule.Probe)
	}
}

func (r *reader) read(node parser.Expr) labelSet {
	switch e := node.(type) {
	case *parser.ParenExpr:
		return r.read(e.Expr)
	case *parser.UnaryExpr:
		return r.read(e.Expr)
	case *parser.StepInvariantExpr:
		return r.read(e.Expr)
	case *parser.VectorSelector:
		return r.selector(e)
	case *parser.MatrixSelector:
		r.errorf(e, "a range selector: the agent has one sample of each series")
		return r.read(e.VectorSelector)
	case *parser.SubqueryExpr:
		r.errorf(e, "a subquery: the agent has one sample of each series")
		return r.read(e.Expr)
	case *parser.AggregateExpr:
		return r.aggregation(e)
	case *parser.BinaryExpr:
		return r.binary(e)
	case *parser.Call:
		return r.call(e)
	}
	return nil // numbers and strings
}

func (r *reader) selector(e *parser.VectorSelector) labelSet {
	if e.OriginalOffset != 0 || e.OriginalOffsetExpr != nil {
		r.errorf(e, "offset: the agent has no earlier samples, and the selector would be empty for ever")
	}
	if e.Timestamp != nil || e.StartOrEnd != 0 {
		r.errorf(e, "@: the agent has no other samples than those of now")
	}
	if e.Name == "" {
		r.unsure = true
		r.errorf(e, "a selector without the name of a metric")
		return labelSet{}
	}
	metric := r.metrics[e.Name]
	if metric == nil {
		r.unsure = true
		r.errorf(e, "no probe declares the metric %.80s", e.Name)
		return labelSet{}
	}
	r.used[e.Name] = true
	r.owned = r.owned || slices.Contains(metric.Labels, probes.LabelOwner)
	for _, m := range e.LabelMatchers {
		if m.Name == model.MetricNameLabel || r.query && slices.Contains(target(), m.Name) {
			continue
		}
		if err := fits(metric, m); err != nil {
			r.errorf(e, "%w", err)
		}
	}
	return labelSet{}.with(metric.Labels...)
}

// fits complains about a matcher that no sample of the metric can ever satisfy,
// or that every one does.
func fits(metric *probes.Metric, m *labels.Matcher) error {
	if !slices.Contains(metric.Labels, m.Name) {
		return fmt.Errorf("the metric %s has no label %s", metric.Name, m.Name)
	}
	closed := metric.Values[m.Name]
	if len(closed) == 0 {
		return nil
	}
	values := m.SetMatches()
	if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
		values = []string{m.Value}
	}
	for _, value := range values {
		if !slices.Contains(closed, value) {
			return fmt.Errorf("the label %s of %s is never %.40q, only one of %s", m.Name, metric.Name, value, strings.Join(closed, ", "))
		}
	}
	if !slices.ContainsFunc(closed, m.Matches) {
		return fmt.Errorf("the matcher %s excludes every value of the label: %s", m, strings.Join(closed, ", "))
	}
	return nil
}

func (r *reader) aggregation(e *parser.AggregateExpr) labelSet {
	inner := r.read(e.Expr)
	switch e.Op {
	case parser.MAX, parser.MIN, parser.SUM, parser.COUNT, parser.AVG, parser.GROUP:
	default:
		r.errorf(e, "%s is not for detection rules; use max, min, sum, count, avg or group", e.Op)
	}
	if e.Without {
		for _, name := range e.Grouping {
			if slices.Contains(target(), name) {
				r.errorf(e, "without (%s) mixes hosts in a central Prometheus", name)
			}
		}
		return inner.without(e.Grouping...)
	}
	if !slices.Contains(e.Grouping, "instance") && !r.query {
		r.errorf(e, "%s mixes hosts in a central Prometheus; write by (instance, …) or without (…)", e.Op)
	}
	return inner.only(e.Grouping...)
}
