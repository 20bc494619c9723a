package detect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// An Evaluation is what the rules say about one snapshot.
type Evaluation struct {
	At       time.Time        // the instant of the snapshot
	Findings []ledger.Finding // sorted by key
	Errors   []RuleError      // rules that told nothing; their problems are held

	checks map[check]bool // every check that has a rule: whether all its rules were evaluated without an error
	all    bool           // every rule was asked, not only those of one probe
}

// A RuleError says why a rule told nothing in an evaluation.
type RuleError struct {
	Rule string // the alert name
	Err  error
}

func (e RuleError) Error() string { return e.Rule + ": " + e.Err.Error() }
func (e RuleError) Unwrap() error { return e.Err }

type check struct{ probe, check string }

// Evaluated reports whether the silence about a key means anything. It does
// when every rule of the check was evaluated without an error: all of them and
// not just that of the key's own severity, because an override can have moved a
// finding from one severity to another. A check that no rule has any more
// counts as evaluated by an evaluation of all rules.
func (e *Evaluation) Evaluated(key ledger.Key) bool {
	done, known := e.checks[check{key.Probe, key.Check}]
	if !known {
		return e.all
	}
	return done
}

// Evaluate asks the rules what is wrong in a snapshot, at the snapshot's own
// instant: all rules when probe is empty, else the checks of the probe and the
// rules that read one of its metrics. A rule that fails tells nothing at all
// and does not disturb the others.
func (r *Rules) Evaluate(ctx context.Context, s *collector.Snapshot, probe string) *Evaluation {
	e := &Evaluation{At: s.At, checks: make(map[check]bool), all: probe == ""}
	defer runtime.KeepAlive(r.hold(s)) // for all queries below
	for i := range r.rules {
		rule := &r.rules[i]
		id := check{rule.Probe, rule.Check}
		before, known := e.checks[id]
		e.checks[id] = before || !known
		if probe != "" && !rule.uses(probe) {
			e.checks[id] = false
			continue
		}
		results, err := r.ask(ctx, s, rule)
		if err != nil {
			e.checks[id] = false
			e.Errors = append(e.Errors, RuleError{Rule: rule.Alert, Err: err})
			continue
		}
		for _, result := range results {
			e.Findings = append(e.Findings, rule.finding(result))
		}
	}
	slices.SortFunc(e.Findings, func(a, b ledger.Finding) int {
		return cmp.Or(strings.Compare(a.Probe, b.Probe), strings.Compare(a.Check, b.Check),
			strings.Compare(a.Object, b.Object), strings.Compare(a.Severity, b.Severity))
	})
	return e
}

// hold builds the facts of a snapshot. A panic here is one of each query too,
// which makes it an error of its rule.
func (r *Rules) hold(s *collector.Snapshot) (held *facts) {
	defer func() { _ = recover() }()
	return r.factsOf(s)
}

// A result is what a rule says of one object.
type result struct {
	object string
	owner  string
	sample promql.Sample
}

var errNoObject = errors.New("a result has no object")

// ask evaluates one rule and returns one result for each object.
func (r *Rules) ask(ctx context.Context, s *collector.Snapshot, rule *Rule) ([]result, error) {
	vector, err := r.query(ctx, s, rule.Expr)
	if err != nil {
		return nil, err
	}
	results := make([]result, 0, len(vector))
	seen := make(map[string]bool, len(vector))
	for _, sample := range vector {
		object := cmp.Or(rule.Object, sample.Metric.Get(probes.LabelObject))
		if object == "" {
			return nil, errNoObject
		}
		if seen[object] {
			return nil, fmt.Errorf("two results for the object %q", object)
		}
		seen[object] = true
		results = append(results, result{object: object, owner: sample.Metric.Get(probes.LabelOwner), sample: sample})
	}
	return results, nil
}

// query evaluates an instant expression exactly at the snapshot's millisecond,
// the only one at which there are samples. It parses the expression each time,
// because the engine leaves the series it found in the tree.
func (r *Rules) query(ctx context.Context, s *collector.Snapshot, expr string) (vector promql.Vector, err error) {
	defer func() {
		if p := recover(); p != nil {
			vector, err = nil, fmt.Errorf("the query engine panicked: %v", p)
		}
	}()
	query, err := r.engine.NewInstantQuery(ctx, r.factsOf(s), nil, expr, s.At)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	answer := query.Exec(ctx)
	if answer.Err != nil {
		return nil, answer.Err
	}
	return answer.Vector()
}

func (r *Rule) finding(found result) ledger.Finding {
	return ledger.Finding{
		Key:     ledger.Key{Probe: r.Probe, Check: r.Check, Object: found.object, Severity: r.Severity},
		Owner:   found.owner,
		Rule:    r.Alert,
		Summary: r.summary(found.object),
		For:     r.For,
	}
}
