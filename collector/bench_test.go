package collector

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hygiene_exporter/probes"
)

// certificates is a probe with four facts for each of its objects.
type certificates struct {
	objects int
	moving  float64
}

var certificateMetrics = []*probes.Metric{
	{Name: "hygiene_bench_not_before_timestamp_seconds", Help: "From a benchmark.", Labels: []string{"object", "slot", "owner"}},
	{Name: "hygiene_bench_not_after_timestamp_seconds", Help: "From a benchmark.", Labels: []string{"object", "slot", "owner"}},
	{Name: "hygiene_bench_overdue_timestamp_seconds", Help: "From a benchmark.", Labels: []string{"object", "slot", "owner"}},
	{Name: "hygiene_bench_critical_timestamp_seconds", Help: "From a benchmark.", Labels: []string{"object", "slot", "owner"}},
}

func (c *certificates) Run(context.Context) (probes.Result, error) {
	var r probes.Result
	for i := range c.objects {
		object := fmt.Sprintf("/etc/ssl/private/service-%06d.example.org/fullchain.pem", i)
		for _, metric := range certificateMetrics {
			r.Add(metric, 1.7e9+float64(i)+c.moving, object, "leaf", "platform")
		}
	}
	return r, nil
}

func (c *certificates) entry() Entry {
	return Entry{
		Spec:     probes.Spec{Name: "bench", Metrics: certificateMetrics},
		Settings: probes.DefaultSettings(5 * time.Minute), Probe: c,
	}
}

// A peer is how an exporter usually serves what it knows: constant metrics of
// the client library, made at each scrape.
type peer struct {
	result probes.Result
	descs  map[*probes.Metric]*prometheus.Desc
}

func newPeer(c *certificates) http.Handler {
	result, _ := c.Run(context.Background())
	p := &peer{result: result, descs: map[*probes.Metric]*prometheus.Desc{}}
	for _, metric := range certificateMetrics {
		p.descs[metric] = prometheus.NewDesc(metric.Name, metric.Help, metric.Labels, nil)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(p)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

func (p *peer) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range p.descs {
		descs <- desc
	}
}

func (p *peer) Collect(metrics chan<- prometheus.Metric) {
	for _, s := range p.result.Samples {
		metrics <- prometheus.MustNewConstMetric(p.descs[s.Metric], prometheus.GaugeValue, s.Value, s.Labels...)
	}
}

// BenchmarkScrape measures scrapes by a Prometheus, of facts that stay and of
// facts that all change between two scrapes. The budget is a p99 below 5 ms at
// 2,000 series and below 60 ms at 80,000.
func BenchmarkScrape(b *testing.B) {
	for _, series := range []int{2_000, 80_000} {
		probe := &certificates{objects: series / len(certificateMetrics)}
		c := New(Options{Log: slog.New(slog.DiscardHandler), SeriesLimit: series})
		c.Replace([]Entry{probe.entry()})
		c.RunOnce(b.Context())
		b.Run(fmt.Sprintf("series=%d/collector", series), func(b *testing.B) {
			measure(b, c.Handler(), func() {})
		})
		b.Run(fmt.Sprintf("series=%d/collector_moving", series), func(b *testing.B) {
			measure(b, c.Handler(), func() {
				probe.moving++
				c.RunOnce(b.Context())
			})
		})
		b.Run(fmt.Sprintf("series=%d/client_golang", series), func(b *testing.B) {
			measure(b, newPeer(probe), func() {})
		})
	}
}

// A discarding ResponseWriter counts what it is given.
type discarding struct {
	header http.Header
	bytes  int
}

func (d *discarding) Header() http.Header { return d.header }
func (d *discarding) WriteHeader(int)     {}
func (d *discarding) Write(p []byte) (int, error) {
	d.bytes += len(p)
	return len(p), nil
}

func measure(b *testing.B, h http.Handler, between func()) {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", acceptOpenMetrics+";q=0.9,"+acceptText+";q=0.5")
	r.Header.Set("Accept-Encoding", "gzip")
	h.ServeHTTP(&discarding{header: http.Header{}}, r)
	var took []time.Duration
	size := 0
	for b.Loop() {
		b.StopTimer()
		between()
		w := &discarding{header: http.Header{}}
		b.StartTimer()
		begin := time.Now()
		h.ServeHTTP(w, r)
		took = append(took, time.Since(begin))
		size = w.bytes
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkRun measures what is done to a result between the probe and the
// publication, with nobody scraping.
func BenchmarkRun(b *testing.B) {
	for _, series := range []int{2_000, 80_000} {
		for _, change := range []float64{0, 1} {
			b.Run(fmt.Sprintf("series=%d/change=%v", series, change), func(b *testing.B) {
				probe := &certificates{objects: series / len(certificateMetrics)}
				c := New(Options{Log: slog.New(slog.DiscardHandler), SeriesLimit: series})
				entry := probe.entry()
				c.Replace([]Entry{entry})
				w := c.published.Load().worker("bench")
				results := make([]probes.Result, 2)
				for i := range results {
					probe.moving = change * float64(i)
					results[i], _ = probe.Run(b.Context())
				}
				i := 0
				for b.Loop() {
					i++
					c.update(w, attempt{start: time.Now(), end: time.Now(), result: results[i%2]})
				}
			})
		}
	}
}
