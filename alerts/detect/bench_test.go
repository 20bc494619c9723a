package detect

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/probes"
)

// BenchmarkEvaluate asks 60 rules about 2,000 series: 20 metrics of 100 objects,
// of which one in a hundred is broken; deadlines, comparisons of two metrics
// and joins. The budget is 20 ms for a snapshot that is new each time.
func BenchmarkEvaluate(b *testing.B) {
	rules, facts := load60(b)
	b.Run("new snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			s := snapshot(facts...)
			s.At = at.Add(time.Duration(i) * time.Millisecond)
			if e := rules.Evaluate(b.Context(), s, ""); len(e.Errors) > 0 || len(e.Findings) != 60 {
				b.Fatal(len(e.Findings), e.Errors)
			}
		}
	})
	b.Run("same snapshot", func(b *testing.B) {
		b.ReportAllocs()
		s := snapshot(facts...)
		for b.Loop() {
			rules.Evaluate(b.Context(), s, "")
		}
	})
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		s := snapshot(facts...)
		key := ledger.Key{Probe: "disk", Check: "check0", Object: "disk0", Severity: Warning}
		for b.Loop() {
			if text, err := rules.Text(b.Context(), s, key); err != nil || !text.Current {
				b.Fatal(text, err)
			}
		}
	})
}

func load60(b *testing.B) (*Rules, []probes.Sample) {
	b.Helper()
	var (
		metrics []*probes.Metric
		facts   []probes.Sample
	)
	for i := range 20 {
		m := &probes.Metric{Name: fmt.Sprintf("hygiene_disk_fact%d_timestamp_seconds", i), Labels: []string{"object", "slot", "owner"}}
		metrics = append(metrics, m)
		for j := range 100 {
			value := probes.Seconds(at) + 1000 + float64(i)
			if j == 0 {
				value = probes.Seconds(at) - float64(i+1)
			}
			facts = append(facts, probes.Sample{Metric: m, Value: value, Labels: []string{fmt.Sprintf("disk%d", j), "a", "db"}})
		}
	}
	exprs := []string{
		"min without (slot) (%s <= time())",
		"max without (slot) (%s <= time() and on (instance, object) %s)",
		"min without (slot) (%s - %s < 0 and on (instance, object) %[1]s <= time()) or min without (slot) (%[1]s <= time())",
	}
	var files []File
	for i := range 60 {
		expr := exprs[i%len(exprs)]
		args := []any{metrics[i%20].Name, metrics[(i+1)%20].Name}
		text := strings.Replace(
			rule(fmt.Sprintf("HygieneDisk%d", i), fmt.Sprintf("check%d", i), fmt.Sprintf(expr, args[:min(2, strings.Count(expr, "%s"))]...)),
			"description: d", "description: '{{ $labels.object }} since {{ $value | humanizeTimestamp }}'", 1)
		files = append(files, File{Name: fmt.Sprintf("%d.yml", i), Data: []byte(text)})
	}
	rules, err := Load(files, metrics)
	if err != nil {
		b.Fatal(err)
	}
	return rules, facts
}
