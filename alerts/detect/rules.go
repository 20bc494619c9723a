// Package detect finds out what is wrong with a host: it evaluates detection
// rules, which are ordinary Prometheus alerting rules, with the real PromQL
// engine over one snapshot of facts. It keeps nothing between two evaluations;
// how long a finding lasts is the business of the ledger.
//
// A rule that loads means the same here, where each series has one sample and
// no instance, and in a central Prometheus with many hosts. Load refuses what
// would be silent or different in one of the two places.
package detect

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"weak"

	"github.com/prometheus/prometheus/promql"

	"hygiene_exporter/probes"
)

// A File is the text of a rule file with the name that complaints about it
// show.
type File struct {
	Name string
	Data []byte
}

// The severities, worst first. The set is closed.
const (
	Critical = "critical"
	Warning  = "warning"
	Info     = "info"
)

// Severities lists the closed set, worst first.
func Severities() []string { return []string{Critical, Warning, Info} }

// A Rule is one detection rule. Together, Probe, Check and Severity belong to
// one rule only.
type Rule struct {
	Alert, Probe, Check, Severity string

	Object      string            // the static object of a host-level rule, else empty
	Expr        string            // instant expression with one result for each object
	For         time.Duration     // how long a finding must last before it is a problem
	Annotations map[string]string // summary, description, impact, action; not expanded
	Metrics     []string          // names of the metrics that Expr uses, sorted
	File        string
	Line        int
}

// Rules is a set of rules that can be evaluated. It is immutable, and safe for
// concurrent use.
type Rules struct {
	rules   []Rule
	metrics map[string]*probes.Metric
	engine  *promql.Engine
	facts   *atomic.Pointer[weak.Pointer[facts]] // those of the snapshot that was evaluated last, while somebody uses them
}

// Limits of one query. They are far above what any rule needs, and stop one
// that joins everything with everything.
const (
	queryTimeout = 10 * time.Second
	queryPoints  = 5_000_000
)

func newRules(rules []Rule, metrics map[string]*probes.Metric) *Rules {
	slices.SortFunc(rules, func(a, b Rule) int { return strings.Compare(a.Alert, b.Alert) })
	return &Rules{
		rules:   rules,
		metrics: metrics,
		facts:   new(atomic.Pointer[weak.Pointer[facts]]),
		engine: promql.NewEngine(promql.EngineOpts{
			MaxSamples: queryPoints,
			Timeout:    queryTimeout,
			// Load refuses subqueries. Without this function, one without a
			// step would panic outside the engine's own recover.
			NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		}),
	}
}

// Rules lists the rules by alert name. The caller must not change the maps and
// slices inside.
func (r *Rules) Rules() []Rule { return slices.Clone(r.rules) }

// Disable returns the rules without those of the named alerts. A name that no
// rule has is an error, because it switches nothing off.
func (r *Rules) Disable(alerts []string) (*Rules, error) {
	off := make(map[string]bool, len(alerts))
	for _, alert := range alerts {
		off[alert] = true
	}
	kept := make([]Rule, 0, len(r.rules))
	for _, rule := range r.rules {
		if off[rule.Alert] {
			delete(off, rule.Alert)
			continue
		}
		kept = append(kept, rule)
	}
	var errs []error
	for _, alert := range slices.Sorted(maps.Keys(off)) {
		errs = append(errs, fmt.Errorf("no rule is called %.60q", alert))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newRules(kept, r.metrics), nil
}

// uses reports whether the rule speaks about a probe: it is one of its checks,
// or its expression reads one of its metrics.
func (r *Rule) uses(probe string) bool {
	if r.Probe == probe {
		return true
	}
	prefix := metricPrefix(probe)
	return slices.ContainsFunc(r.Metrics, func(name string) bool { return strings.HasPrefix(name, prefix) })
}

func metricPrefix(probe string) string { return "hygiene_" + probe + "_" }
