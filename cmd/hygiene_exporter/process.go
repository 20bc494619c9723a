package main

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"hygiene_exporter/collector"
)

// processFamilies is what every program exports of itself: its memory, its time
// on the processor, its open files. It is read anew for each scrape.
func processFamilies() collector.FamilySource {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	var scrapes atomic.Uint64
	return func() ([]*dto.MetricFamily, uint64) {
		// What cannot be read of the process is left out, and the rest is there.
		families, _ := registry.Gather()
		return families, scrapes.Add(1)
	}
}
