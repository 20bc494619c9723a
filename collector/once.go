package collector

import (
	dto "github.com/prometheus/client_model/go"

	"hygiene_exporter/probes"
)

// Once returns the exposition of a result that belongs to no run: what was
// asked for by somebody else, and is published nowhere. Samples that would break
// a scrape are refused, as those of a run are; the errors say which.
func Once(metrics []*probes.Metric, result probes.Result, owner string) (all []*dto.MetricFamily, refused []error) {
	d := newSchema(metrics, map[string]bool{}).digest(result, owner)
	for _, blamed := range d.faults {
		refused = append(refused, blamed.Err)
	}
	return families(d.samples), refused
}
