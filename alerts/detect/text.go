package detect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// A Text is what a person reads about a problem.
type Text struct {
	Summary     string
	Description string
	Impact      string
	Action      string

	// Current says that the rule finds the object in the snapshot. When it does
	// not, the problem is held or about to close, there is no value to speak
	// about, and a text that needs one is empty.
	Current bool
}

// Text expands the texts of a problem, when somebody wants to read them. The
// error says which of them could not be expanded; the others are there.
func (r *Rules) Text(ctx context.Context, s *collector.Snapshot, key ledger.Key) (Text, error) {
	rule, found, err := r.about(ctx, s, key)
	if rule == nil {
		return Text{}, err
	}
	text := Text{Summary: rule.summary(key.Object), Current: found != nil}
	errs := []error{err}
	for _, one := range []struct {
		name string
		into *string
	}{{"description", &text.Description}, {"impact", &text.Impact}, {"action", &text.Action}} {
		raw := rule.Annotations[one.name]
		if found == nil && slices.ContainsFunc(braces.FindAllString(raw, -1), momentary.MatchString) {
			continue
		}
		expanded, err := r.expand(ctx, s, raw, cmp.Or(found, rule.silent(key)))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", rule.Alert, one.name, err))
		}
		*one.into = expanded
	}
	return text, errors.Join(errs...)
}

// about finds the rule behind a key and what it says of the object now. An
// override can have given the problem another severity than the rule has, so
// the rules of the other severities are asked too.
func (r *Rules) about(ctx context.Context, s *collector.Snapshot, key ledger.Key) (*Rule, *result, error) {
	var rules []*Rule
	for i := range r.rules {
		rule := &r.rules[i]
		if rule.Probe != key.Probe || rule.Check != key.Check {
			continue
		}
		if rule.Severity == key.Severity {
			rules = slices.Insert(rules, 0, rule)
		} else {
			rules = append(rules, rule)
		}
	}
	if len(rules) == 0 {
		return nil, nil, fmt.Errorf("no rule has the check %.60q of the probe %.60q", key.Check, key.Probe)
	}
	var errs []error
	for _, rule := range rules {
		results, err := r.ask(ctx, s, rule)
		if err != nil {
			errs = append(errs, RuleError{Rule: rule.Alert, Err: err})
		}
		if i := slices.IndexFunc(results, func(one result) bool { return one.object == key.Object }); i >= 0 {
			return rule, &results[i], nil
		}
	}
	return rules[0], nil, errors.Join(errs...)
}

// silent stands for the result that a rule does not have of an object.
func (r *Rule) silent(key ledger.Key) *result {
	lset := labels.EmptyLabels()
	if r.Object == "" {
		lset = labels.FromStrings(probes.LabelObject, key.Object)
	}
	return &result{object: key.Object, sample: promql.Sample{Metric: lset}}
}

// expand executes a text as a template of Prometheus does, with the labels and
// the value of the result. The package template counts its expansions in the
// default registry, which the agent does not expose.
func (r *Rules) expand(ctx context.Context, s *collector.Snapshot, text string, found *result) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	query := func(ctx context.Context, expr string, _ time.Time) (promql.Vector, error) {
		if err := r.permitted(expr); err != nil {
			return nil, err
		}
		return r.query(ctx, s, expr)
	}
	data := template.AlertTemplateData(found.sample.Metric.Map(), nil, "", found.sample)
	prologue := "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
	return template.NewTemplateExpander(
		ctx, prologue+text, "text", data, model.TimeFromUnixNano(s.At.UnixNano()), query, new(url.URL), nil,
	).Expand()
}

// permitted refuses a query in a text for the same reasons for which Load
// refuses an expression.
func (r *Rules) permitted(expr string) error {
	tree, err := parser.ParseExpr(expr)
	if err != nil {
		return err
	}
	check := &reader{metrics: r.metrics, query: true, used: make(map[string]bool)}
	check.read(tree)
	var errs []error
	for _, misuse := range check.errs {
		errs = append(errs, misuse.err)
	}
	return errors.Join(errs...)
}
