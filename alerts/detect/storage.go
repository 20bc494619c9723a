package detect

import (
	"context"
	"slices"
	"sync"
	"weak"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"hygiene_exporter/alerts/detect/series"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// facts shows a snapshot to the query engine as a store in which each series
// has one sample, at the snapshot's own millisecond. Series are built when a
// query first asks for their metric: most facts are read by no rule.
type facts struct {
	snapshot *collector.Snapshot
	families map[string]*family
}

type family struct {
	samples []probes.Sample
	build   sync.Once
	series  []storage.Series // sorted by labels
}

func newFacts(snapshot *collector.Snapshot) *facts {
	f := &facts{snapshot: snapshot, families: make(map[string]*family)}
	for _, report := range snapshot.Reports {
		// The samples of a report are sorted by metric, and a metric belongs to
		// one report: as a rule nothing is copied.
		for rest := report.Samples; len(rest) > 0; {
			name := rest[0].Metric.Name
			end := slices.IndexFunc(rest, func(s probes.Sample) bool { return s.Metric.Name != name })
			if end < 0 {
				end = len(rest)
			}
			if known := f.families[name]; known != nil {
				known.samples = slices.Concat(known.samples, rest[:end])
			} else {
				f.families[name] = &family{samples: rest[:end]}
			}
			rest = rest[end:]
		}
	}
	return f
}

// factsOf returns the store of a snapshot, which is built once for all queries
// on the same snapshot, as long as somebody holds it. Between two evaluations
// nobody does: the facts of a large host would otherwise be there twice.
func (r *Rules) factsOf(snapshot *collector.Snapshot) *facts {
	if last := r.facts.Load(); last != nil {
		if f := last.Value(); f != nil && f.snapshot == snapshot {
			return f
		}
	}
	f := newFacts(snapshot)
	pointer := weak.Make(f)
	r.facts.Store(&pointer)
	return f
}

func (f *facts) all(name string) []storage.Series {
	fam := f.families[name]
	if fam == nil {
		return nil
	}
	fam.build.Do(func() {
		at := f.snapshot.At.UnixMilli()
		fam.series = make([]storage.Series, 0, len(fam.samples))
		for _, sample := range fam.samples {
			fam.series = append(fam.series, storage.NewListSeries(labelsOf(sample), []chunks.Sample{series.Point{Time: at, Value: sample.Value}}))
		}
		slices.SortFunc(fam.series, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	})
	return fam.series
}

// labelsOf leaves out empty values: to PromQL an empty label is no label, but
// one that is kept makes two sides of a comparison differ without a word.
func labelsOf(sample probes.Sample) labels.Labels {
	builder := labels.NewScratchBuilder(len(sample.Labels) + 1)
	builder.Add(model.MetricNameLabel, sample.Metric.Name)
	for i, name := range sample.Metric.Labels {
		if i < len(sample.Labels) && sample.Labels[i] != "" {
			builder.Add(name, sample.Labels[i])
		}
	}
	builder.Sort()
	return builder.Labels()
}

var _ storage.Queryable = (*facts)(nil)

// Querier ignores the time range: everything is known at one instant.
func (f *facts) Querier(_, _ int64) (storage.Querier, error) { return querier{facts: f}, nil }

type querier struct{ facts *facts }

// Select returns the series of the metric that the matchers name.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	i := slices.IndexFunc(matchers, func(m *labels.Matcher) bool {
		return m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual
	})
	if i < 0 {
		return storage.EmptySeriesSet()
	}
	all := q.facts.all(matchers[i].Value)
	if len(matchers) == 1 {
		return series.Of(all)
	}
	var found []storage.Series
	for _, series := range all {
		lset := series.Labels()
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			found = append(found, series)
		}
	}
	return series.Of(found)
}

// LabelValues is not used by queries.
func (querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames is not used by queries.
func (querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) Close() error { return nil }
