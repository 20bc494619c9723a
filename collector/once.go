package collector

import (
	dto "github.com/prometheus/client_model/go"

	"hygiene_exporter/probes"
)

// An Exposition writes results that belong to no run: what was asked for by
// somebody else, and is published nowhere. It is safe for concurrent use.
type Exposition struct{ schema *schema }

// NewExposition returns an exposition of these metrics.
func NewExposition(metrics []*probes.Metric) Exposition {
	return Exposition{newSchema(metrics, map[string]bool{})}
}

// Families returns the exposition of a result; facts without an owner get this
// one. Samples that would break a scrape are refused, as those of a run are; the
// errors say which.
func (e Exposition) Families(result probes.Result, owner string) (all []*dto.MetricFamily, refused []error) {
	d := e.schema.digest(result, owner)
	for _, blamed := range d.faults {
		refused = append(refused, blamed.Err)
	}
	return families(d.samples), refused
}
