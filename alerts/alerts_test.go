package alerts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup"
	"hygiene_exporter/probes/drill"
	"hygiene_exporter/probes/patch"
	"hygiene_exporter/probes/port"
	"hygiene_exporter/probes/redundancy"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// contract declares the metrics of the embedded rules as the design fixes them.
// What the collector declares of itself is taken from there.
func contract() []*probes.Metric {
	slot := []string{"object", "slot", "owner"}
	return append(
		slices.Concat(collector.AgentMetrics(), backup.Spec().Metrics, drill.Spec().Metrics, patch.Spec().Metrics, redundancy.Spec().Metrics, port.Spec().Metrics),
		&probes.Metric{Name: "hygiene_certificate_not_before_timestamp_seconds", Labels: slot},
		&probes.Metric{Name: "hygiene_certificate_not_after_timestamp_seconds", Labels: slot},
		&probes.Metric{Name: "hygiene_certificate_renewal_overdue_timestamp_seconds", Labels: slot},
		&probes.Metric{Name: "hygiene_certificate_renewal_critical_timestamp_seconds", Labels: slot},
		&probes.Metric{Name: "hygiene_certificate_crl_next_update_timestamp_seconds", Labels: []string{"object", "owner"}},
		&probes.Metric{Name: "hygiene_certificate_crl_overdue_timestamp_seconds", Labels: []string{"object", "owner"}},
		&probes.Metric{Name: "hygiene_certificate_finding", Labels: []string{"object", "slot", "finding", "owner"}},
		&probes.Metric{Name: "hygiene_certificate_endpoint_failure", Labels: []string{"object", "address", "stage", "reason", "owner"}},
		&probes.Metric{Name: "hygiene_certificate_ocsp_status", Labels: []string{"object", "source", "status", "owner"}},
		&probes.Metric{Name: "hygiene_certificate_served_outdated", Labels: []string{"object", "listener", "owner"}},
		&probes.Metric{Name: "hygiene_certificate_listener_unmonitored", Labels: []string{"object", "owner"}},
		&probes.Metric{Name: "hygiene_config_last_reload_successful"},
		&probes.Metric{Name: "hygiene_agent_clock_synchronised"},
		&probes.Metric{Name: "hygiene_state_last_write_successful"},
	)
}

func load(t *testing.T) *detect.Rules {
	t.Helper()
	files, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := detect.Load(files, contract())
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// facts reads samples, one a line, in the format of an exposition. A value may
// be relative to now, as in now-1h.
func facts(t *testing.T, text string) []probes.Sample {
	t.Helper()
	var samples []probes.Sample
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		series, err := parser.ParseMetric(line[:space])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		i := slices.IndexFunc(contract(), func(m *probes.Metric) bool { return m.Name == series.Get(model.MetricNameLabel) })
		if i < 0 {
			t.Fatalf("%s: the metric is not part of the contract", line)
		}
		sample := probes.Sample{Metric: contract()[i], Value: number(t, line[space+1:])}
		for _, name := range sample.Metric.Labels {
			sample.Labels = append(sample.Labels, series.Get(name))
		}
		samples = append(samples, sample)
	}
	return samples
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	if relative, ok := strings.CutPrefix(text, "now"); ok {
		if relative == "" {
			return probes.Seconds(now)
		}
		d, err := model.ParseDuration(relative[1:])
		if err != nil {
			t.Fatal(err)
		}
		if relative[0] == '-' {
			d = -d
		}
		return probes.Seconds(now.Add(time.Duration(d)))
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func snapshot(at time.Time, samples []probes.Sample) *collector.Snapshot {
	s := &collector.Snapshot{At: at, Reports: map[string]*collector.Report{
		"certificate":        {Probe: "certificate", Outcome: collector.Succeeded, Run: 1},
		collector.AgentProbe: {Probe: collector.AgentProbe, Outcome: collector.Succeeded, Run: 1},
	}}
	for _, sample := range samples {
		report := s.Reports[collector.AgentProbe]
		if strings.HasPrefix(sample.Metric.Name, "hygiene_certificate_") {
			report = s.Reports["certificate"]
		}
		report.Samples = append(report.Samples, sample)
	}
	return s
}

// A hit is a result of a rule for an object of a host.
type hit struct{ Instance, Object, Owner string }

// central evaluates an expression as a central Prometheus would that scrapes
// the same samples from several hosts.
func central(t *testing.T, expr string, samples []probes.Sample, instances ...string) []hit {
	t.Helper()
	var store fleet
	for _, instance := range instances {
		for _, sample := range samples {
			builder := labels.NewBuilder(labels.FromStrings(model.MetricNameLabel, sample.Metric.Name, "instance", instance, "job", "hygiene_exporter"))
			for i, name := range sample.Metric.Labels {
				builder.Set(name, sample.Labels[i])
			}
			store = append(store, storage.NewListSeries(builder.Labels(), []chunks.Sample{point(sample.Value)}))
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})
	query, err := engine.NewInstantQuery(t.Context(), &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: store.find}}, nil, expr, now)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	var hits []hit
	for _, sample := range vector {
		hits = append(hits, hit{sample.Metric.Get("instance"), sample.Metric.Get("object"), sample.Metric.Get("owner")})
	}
	slices.SortFunc(hits, compare)
	return hits
}

func compare(a, b hit) int {
	return cmp.Or(strings.Compare(a.Instance, b.Instance), strings.Compare(a.Object, b.Object), strings.Compare(a.Owner, b.Owner))
}

// A fleet is what a central Prometheus has of all hosts at one instant.
type fleet []storage.Series

func (f fleet) find(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &matching{}
	for _, one := range f {
		lset := one.Labels()
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			found.series = append(found.series, one)
		}
	}
	return found
}

type matching struct {
	series []storage.Series
	next   int
}

func (m *matching) Next() bool                        { m.next++; return m.next <= len(m.series) }
func (m *matching) At() storage.Series                { return m.series[m.next-1] }
func (m *matching) Err() error                        { return nil }
func (m *matching) Warnings() annotations.Annotations { return nil }

// A point is a sample of now.
type point float64

func (p point) T() int64                      { return now.UnixMilli() }
func (p point) ST() int64                     { return 0 }
func (p point) F() float64                    { return float64(p) }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }
