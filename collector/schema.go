package collector

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/common/model"

	"hygiene_exporter/probes"
)

// A schema knows the metrics that one probe has declared.
type schema struct {
	byPointer map[*probes.Metric]*declaration
	byName    map[string]*declaration
}

// A declaration is a declared metric, prepared for checking its samples.
type declaration struct {
	metric *probes.Metric
	err    error // why the metric itself cannot be exposed, and so none of its samples
}

// newSchema prepares the metrics of a probe. Names that are taken belong to a
// probe before this one; those of this one are added.
func newSchema(metrics []*probes.Metric, taken map[string]bool) *schema {
	s := &schema{
		byPointer: make(map[*probes.Metric]*declaration, len(metrics)),
		byName:    make(map[string]*declaration, len(metrics)),
	}
	for _, metric := range metrics {
		d := &declaration{metric: metric, err: checkMetric(metric)}
		s.byPointer[metric] = d
		switch {
		case d.err != nil:
		case taken[metric.Name]:
			d.err = errors.New("the name is declared twice")
		default:
			taken[metric.Name] = true
			s.byName[metric.Name] = d
		}
	}
	return s
}

// checkMetric reports whether a family of this metric would break a scrape.
func checkMetric(metric *probes.Metric) error {
	if !model.LegacyValidation.IsValidMetricName(metric.Name) {
		return fmt.Errorf("%.40q is not a metric name", metric.Name)
	}
	reserved := probes.ReservedLabels()
	for i, label := range metric.Labels {
		switch {
		case !model.LegacyValidation.IsValidLabelName(label) || len(label) > 1 && label[:2] == "__":
			return fmt.Errorf("%.40q is not a label name", label)
		case slices.Contains(reserved, label):
			return fmt.Errorf("label %q is reserved", label)
		case slices.Contains(metric.Labels[:i], label):
			return fmt.Errorf("label %q is declared twice", label)
		}
	}
	return nil
}

// declared finds the declaration of a metric: of the metric itself, or of one
// of the same name and labels, which another generation of the probe made.
func (s *schema) declared(metric *probes.Metric) *declaration {
	if metric == nil {
		return nil
	}
	if d := s.byPointer[metric]; d != nil {
		return d
	}
	if d := s.byName[metric.Name]; d != nil && slices.Equal(d.metric.Labels, metric.Labels) {
		return d
	}
	return nil
}

// admit returns the sample in the form in which it is kept, or says why it is
// refused. The labels of the probe are never written to.
func (d *declaration) admit(sample probes.Sample, owner string) (probes.Sample, error) {
	sample.Metric = d.metric
	if d.err != nil {
		return sample, probes.Because(probes.Other, d.err)
	}
	if len(sample.Labels) != len(d.metric.Labels) {
		return sample, probes.Because(probes.Other, fmt.Errorf("%d label values for %d labels", len(sample.Labels), len(d.metric.Labels)))
	}
	// Unknown is absent, and no value stands for "never": an infinity or NaN
	// is a division by zero somewhere, and NaN would never alert.
	if math.IsNaN(sample.Value) || math.IsInf(sample.Value, 0) {
		return sample, probes.Because(probes.Malformed, fmt.Errorf("the value is %v", sample.Value))
	}
	if d.metric.Kind == probes.Counter && sample.Value < 0 {
		return sample, probes.Because(probes.Malformed, fmt.Errorf("the counter stands at %v", sample.Value))
	}
	return d.admitLabels(sample, owner)
}

func (d *declaration) admitLabels(sample probes.Sample, owner string) (probes.Sample, error) {
	given := sample.Labels
	for i, label := range d.metric.Labels {
		value := given[i]
		switch label {
		case probes.LabelObject:
			if value == "" {
				return sample, probes.Because(probes.Other, errors.New("the object has no name"))
			}
			value = identity(value)
		case probes.LabelMember:
			value = identity(value)
		case probes.LabelOwner:
			if value == "" {
				value = owner
			}
			value = text(value)
		default:
			if set, closed := d.metric.Values[label]; closed && !slices.Contains(set, value) {
				return sample, probes.Because(probes.Malformed, fmt.Errorf("label %s cannot be %.40q", label, value))
			}
			value = text(value)
		}
		if value == given[i] {
			continue
		}
		if &sample.Labels[0] == &given[0] {
			sample.Labels = slices.Clone(given)
		}
		sample.Labels[i] = value
	}
	return sample, nil
}

// declarations returns the usable ones in the order of their names, which is
// that of the exposition.
func (s *schema) declarations() []*declaration {
	var usable []*declaration
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		usable = append(usable, s.byName[name])
	}
	return usable
}
