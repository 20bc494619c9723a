package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/all"
)

var update = flag.Bool("update", false, "rewrite the generated reference")

func TestBuiltInRulesReadOnlyDeclaredMetrics(t *testing.T) {
	files, err := alerts.Rules()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := detect.Load(files, metrics()); err != nil {
		t.Error(err)
	}
}

func TestDocsMetrics(t *testing.T) {
	var out bytes.Buffer
	fmt.Fprint(&out, `# Metrics

Generated from the source; `+"`make docs`"+` rewrites it. Instants are in seconds since the
epoch. Unknown is absent, never 0. `+"`object`"+` is the stable identity of what was
inspected, `+"`owner`"+` comes from the configuration and is absent when unset.
`)
	group := func(title, text string, metrics []*probes.Metric) {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n", title, text)
		for _, m := range metrics {
			kind := "gauge"
			switch {
			case m.Kind == probes.Counter:
				kind = "counter"
			case strings.Contains(m.Help, "a histogram"):
				kind = "histogram"
			}
			var labels []string
			for _, label := range m.Labels {
				if values := m.Values[label]; len(values) > 0 {
					label += "=" + strings.Join(values, `\|`)
				}
				labels = append(labels, "`"+label+"`")
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", m.Name, kind, strings.Join(labels, " "), m.Help)
		}
	}
	for _, spec := range all.Specs() {
		group(spec.Name, spec.Summary, spec.Metrics)
	}
	group("agent", "What the agent says about itself and its probes.", agentMetrics())
	group("problems", "What is open, and how the evaluation fares.", monitor.Metrics())
	const path = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(out.String(), string(got)); diff != "" {
		t.Errorf("%s is not current; run make docs (-want +got):\n%s", path, diff)
	}
}
