package preview

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"hygiene_exporter/alerts/detect/series"
)

// A Store holds series of the last hour, with one sample each minute.
type Store struct {
	Now    time.Time
	series []storage.Series
	lines  []Series
}

// instant matches a time relative to now, such as now, now-3d or now+1h30m.
var instant = regexp.MustCompile(`\bnow(?:([+-])([0-9a-z]+))?\b`)

// Parse reads series in the exposition format, with these additions: a value may
// be a time relative to now, such as now-3d, and "10+2" is a counter that gains 2
// each minute and stands at 10. Lines before the first "# host NAME" belong to no
// host; those behind it get job and instance. Errors name the line.
func Parse(data []byte, now time.Time) (*Store, error) {
	s := &Store{Now: now}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	instance := ""
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if name, ok := strings.CutPrefix(line, "# host "); ok {
			instance = strings.TrimSpace(name)
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.add(line, instance); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	slices.SortFunc(s.series, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return s, scanner.Err()
}

// minutes is how far a store looks back.
const minutes = 60

func (s *Store) add(line, instance string) error {
	cut := strings.LastIndexAny(line, " \t")
	if cut < 0 {
		return fmt.Errorf("%q has no value", line)
	}
	metric, err := parser.ParseMetric(strings.TrimSpace(line[:cut]))
	if err != nil {
		return err
	}
	value, gain, err := s.value(line[cut+1:])
	if err != nil {
		return err
	}
	own := metric.Map()
	delete(own, model.MetricNameLabel)
	s.lines = append(s.lines, Series{metric.Get(model.MetricNameLabel), instance, own, value})
	if instance != "" {
		metric = labels.NewBuilder(metric).Set("job", "hygiene_exporter").Set("instance", instance).Labels()
	}
	samples := make([]chunks.Sample, 0, minutes+1)
	for i := minutes; i >= 0; i-- {
		samples = append(samples, series.Point{Time: s.Now.Add(-time.Duration(i) * time.Minute).UnixMilli(), Value: value - gain*float64(i)})
	}
	s.series = append(s.series, storage.NewListSeries(metric, samples))
	return nil
}

func (s *Store) value(text string) (value, gain float64, err error) {
	if m := instant.FindStringSubmatch(text); m != nil && m[0] == text {
		at := s.Now
		if m[1] != "" {
			span, err := model.ParseDuration(m[2])
			if err != nil {
				return 0, 0, err
			}
			if m[1] == "-" {
				span = -span
			}
			at = at.Add(time.Duration(span))
		}
		return float64(at.Unix()), 0, nil
	}
	start, more, grows := strings.Cut(text, "+")
	if grows && start != "" {
		if gain, err = strconv.ParseFloat(more, 64); err != nil {
			return 0, 0, err
		}
		text = start
	}
	value, err = strconv.ParseFloat(text, 64)
	return value, gain, err
}

// A Series is one line of the file.
type Series struct {
	Name, Instance string
	Labels         map[string]string // without those of the target
	Value          float64           // now
}

// Series returns all series, in the order of the file.
func (s *Store) Series() []Series { return s.lines }

// Querier looks at the whole hour, whatever the range: the engine picks.
func (s *Store) Querier(_, _ int64) (storage.Querier, error) { return querier{s}, nil }

type querier struct{ store *Store }

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, one := range q.store.series {
		fits := !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.Labels().Get(m.Name)) })
		if fits {
			found = append(found, one)
		}
	}
	return series.Of(found)
}

func (q querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (q querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (q querier) Close() error { return nil }
