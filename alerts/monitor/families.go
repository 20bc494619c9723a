package monitor

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/probes"
)

// The metrics of open problems, and of the evaluation itself. They are no
// facts: no rule reads them in the agent.
var (
	since = &probes.Metric{
		Name:   "hygiene_problem_since_timestamp_seconds",
		Help:   "When the problem opened, from the ledger of the agent.",
		Labels: problemLabels(),
	}
	deadline = &probes.Metric{
		Name:   "hygiene_problem_escalation_timestamp_seconds",
		Help:   "When a tier of people is told of the problem, from the escalation policy.",
		Labels: append(problemLabels(), "escalation"),
	}
	ackExpiry = &probes.Metric{
		Name:   "hygiene_problem_ack_expiry_timestamp_seconds",
		Help:   "Until when somebody has taken the problem; absent when nobody has.",
		Labels: problemLabels(),
	}
	suppressedUntil = &probes.Metric{
		Name:   "hygiene_problem_suppressed_until_timestamp_seconds",
		Help:   "End of the maintenance window that keeps the problem from paging; absent outside of one.",
		Labels: problemLabels(),
	}
	info = &probes.Metric{
		Name:   "hygiene_problem_info",
		Help:   "What the problem is, whether it is held without being seen, and who has taken it; always 1.",
		Labels: append(problemLabels(), "summary", "held", "acked_by"),
	}
	truncated = &probes.Metric{
		Name:   "hygiene_problems_truncated",
		Help:   "Open problems of a check that are not exported because there are too many; the API has them all.",
		Labels: []string{"probe", "check"},
	}
	opened = &probes.Metric{
		Name:   "hygiene_problems_opened_total",
		Help:   "Problems that opened, counted over restarts.",
		Kind:   probes.Counter,
		Labels: []string{"probe", "check"},
	}
	flaps = &probes.Metric{
		Name:   "hygiene_problem_flaps_total",
		Help:   "Problems that opened again within half an hour of closing, counted over restarts; they stay open for half an hour after they were last seen.",
		Kind:   probes.Counter,
		Labels: []string{"probe", "check"},
	}
	duration = &probes.Metric{
		Name:   "hygiene_problem_duration_seconds",
		Help:   "Time from the opening of a problem to its end, a histogram counted over restarts.",
		Labels: []string{"probe"},
	}
	timeToAck = &probes.Metric{
		Name:   "hygiene_problem_time_to_ack_seconds",
		Help:   "Time from the opening of a problem until somebody took it, a histogram counted over restarts.",
		Labels: []string{"probe"},
	}
	rulesLoaded = &probes.Metric{
		Name: "hygiene_rules_loaded",
		Help: "Detection rules that the agent evaluates.",
	}
	lastEvaluation = &probes.Metric{
		Name: "hygiene_rules_last_evaluation_timestamp_seconds",
		Help: "When the agent last evaluated all detection rules.",
	}
	evaluationFailures = &probes.Metric{
		Name: "hygiene_rule_evaluation_failures_total",
		Help: "Evaluations of a detection rule that failed since the agent started; the problems of the rule were held.",
		Kind: probes.Counter,
	}
)

func problemLabels() []string {
	return []string{"probe", "check", "object", "episode", "severity", "owner"}
}

// Metrics lists what the monitor exports, for the reference.
func Metrics() []*probes.Metric {
	return []*probes.Metric{
		since, deadline, ackExpiry, suppressedUntil, info, truncated, opened, flaps, duration, timeToAck,
		rulesLoaded, lastEvaluation, evaluationFailures,
	}
}

// published is what scrapes see until the next evaluation.
type published struct {
	families []*dto.MetricFamily
	version  uint64
	worst    map[[2]string]int // rank of the worst problem, by probe and object
}

// Priority ranks an object by its worst open problem, for the collector: what
// is broken is shown before what is not.
func (m *Monitor) Priority(probe, object string) int {
	return m.published.Load().worst[[2]string{probe, object}]
}

// Families is the collector.FamilySource of the monitor.
func (m *Monitor) Families() ([]*dto.MetricFamily, uint64) {
	p := m.published.Load()
	return p.families, p.version
}

// publish puts the state of the ledger in front of scrapes.
func (m *Monitor) publish(now time.Time) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	b := builder{}
	config := m.config.Load()
	worst := m.problems(b, config, now)
	m.statistics(b)
	b.add(rulesLoaded, float64(len(config.Rules.Rules())))
	if at := m.health.lastAll; !at.IsZero() {
		b.add(lastEvaluation, probes.Seconds(at))
	}
	b.add(evaluationFailures, float64(m.health.failures))

	next := &published{version: 1, worst: worst}
	if last := m.published.Load(); last != nil {
		next.version = last.version + 1
	}
	for _, metric := range Metrics() {
		if family := b[metric]; family != nil {
			next.families = append(next.families, family)
		}
	}
	m.published.Store(next)
}

// problems adds the open problems, of each check at most as many as configured,
// those that opened first before the others: they are the ones people know.
func (m *Monitor) problems(b builder, config *Config, now time.Time) map[[2]string]int {
	worst := map[[2]string]int{}
	open := m.options.Ledger.Problems()
	slices.SortStableFunc(open, func(a, b ledger.Problem) int { return a.Since.Compare(b.Since) })
	count := map[[2]string]int{}
	for _, p := range open {
		object := [2]string{p.Probe, p.Object}
		worst[object] = max(worst[object], len(detect.Severities())-slices.Index(detect.Severities(), p.Severity))
		check := [2]string{p.Probe, p.Check}
		if count[check]++; count[check] > config.PerCheck {
			continue
		}
		m.problem(b, config, p, now)
	}
	for check, n := range count {
		if n > config.PerCheck {
			b.add(truncated, float64(n-config.PerCheck), check[0], check[1])
		}
	}
	return worst
}

func (m *Monitor) problem(b builder, config *Config, p ledger.Problem, now time.Time) {
	labels := []string{p.Probe, p.Check, p.Object, p.Episode, p.Severity, p.Owner}
	with := func(more ...string) []string { return slices.Concat(labels, more) }
	b.add(since, probes.Seconds(p.Since), labels...)
	for i, at := range p.Deadlines {
		b.add(deadline, probes.Seconds(at), with(strconv.Itoa(i+1))...)
	}
	by := ""
	if p.Ack != nil {
		by = p.Ack.By
		b.add(ackExpiry, probes.Seconds(p.Ack.Expires), labels...)
	}
	if until, _, active := config.Policy.Maintenance(p.Probe, now); active {
		b.add(suppressedUntil, probes.Seconds(until), labels...)
	}
	held := ""
	if p.Held {
		held = string(p.HeldReason)
	}
	b.add(info, 1, with(p.Summary, held, by)...)
}

func (m *Monitor) statistics(b builder) {
	statistics := m.options.Ledger.Statistics()
	checks := slices.SortedFunc(maps.Keys(statistics.Opened), func(a, b ledger.Check) int {
		return cmp.Or(cmp.Compare(a.Probe, b.Probe), cmp.Compare(a.Check, b.Check))
	})
	for _, check := range checks {
		b.add(opened, float64(statistics.Opened[check]), check.Probe, check.Check)
		b.add(flaps, float64(statistics.Flaps[check]), check.Probe, check.Check)
	}
	for _, probe := range slices.Sorted(maps.Keys(statistics.Duration)) {
		b.histogram(duration, statistics.Duration[probe], probe)
	}
	for _, probe := range slices.Sorted(maps.Keys(statistics.TimeToAck)) {
		b.histogram(timeToAck, statistics.TimeToAck[probe], probe)
	}
}

// builder collects families by their metric.
type builder map[*probes.Metric]*dto.MetricFamily

func (b builder) series(m *probes.Metric, kind dto.MetricType, values []string) *dto.Metric {
	if b[m] == nil {
		b[m] = &dto.MetricFamily{Name: &m.Name, Help: &m.Help, Type: kind.Enum()}
	}
	series := &dto.Metric{}
	for i, value := range values {
		// An empty label is the same as none, and owner is absent when unset.
		if value != "" {
			series.Label = append(series.Label, &dto.LabelPair{Name: &m.Labels[i], Value: &values[i]})
		}
	}
	slices.SortFunc(series.Label, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	b[m].Metric = append(b[m].Metric, series)
	return series
}

func (b builder) add(m *probes.Metric, value float64, labels ...string) {
	if m.Kind == probes.Counter {
		b.series(m, dto.MetricType_COUNTER, labels).Counter = &dto.Counter{Value: &value}
		return
	}
	b.series(m, dto.MetricType_GAUGE, labels).Gauge = &dto.Gauge{Value: &value}
}

func (b builder) histogram(m *probes.Metric, h ledger.Histogram, labels ...string) {
	series := b.series(m, dto.MetricType_HISTOGRAM, labels)
	cumulative := h.Cumulative()
	series.Histogram = &dto.Histogram{SampleCount: new(h.Count()), SampleSum: new(h.Sum)}
	for _, bound := range h.Bounds {
		series.Histogram.Bucket = append(series.Histogram.Bucket,
			&dto.Bucket{UpperBound: new(bound), CumulativeCount: new(cumulative[bound])})
	}
}
