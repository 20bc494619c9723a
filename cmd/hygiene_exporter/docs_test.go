package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
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
	generated(t, "../../docs/metrics.md", out.String())
}

// Who lets the root helper run wants to read all that it may do.
func TestDocsCommands(t *testing.T) {
	var out bytes.Buffer
	fmt.Fprint(&out, `# Commands

Generated from the source; `+"`make docs`"+` rewrites it. The agent runs these programs, those
that are installed, and no others. `+"`{0}`"+` stands for an object, which must match the pattern
beside it as a whole. `+"`NAME<FILE`"+` before a program is a variable of its environment that holds what
that file holds, and an object before it is lines of such variables, which the table is followed
by. There is no shell. What needs root is what
`+"`hygiene_exporter helper`"+` runs for an agent that is not root, and all that it runs.
`)
	for _, spec := range all.Specs() {
		if len(spec.Commands) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n## %s\n\n| Command | Needs root | Objects | What is read |\n|---|---|---|---|\n", spec.Name)
		environments := map[string]string{} // by program
		for _, c := range spec.Commands {
			root := "no"
			if c.Privileged {
				root = "yes"
			}
			var words, objects []string
			for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
				words = append(words, name+"<"+c.Secrets[name])
			}
			if c.Environment != "" {
				words = append(words, c.Environment)
			}
			for _, word := range slices.Concat(c.Through, c.Argv) {
				if strings.ContainsAny(word, " '") {
					word = "'" + word + "'"
				}
				words = append(words, word)
			}
			for i, pattern := range c.Objects {
				if c.Environment == fmt.Sprintf("{%d}", i) {
					environments[c.Argv[0]] = pattern.String()
					objects = append(objects, "variables")
					continue
				}
				objects = append(objects, "`"+strings.ReplaceAll(pattern.String(), "|", `\|`)+"`")
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", strings.ReplaceAll(strings.Join(words, " "), "|", `\|`), root, strings.Join(objects, " "), c.Help)
		}
		for _, program := range slices.Sorted(maps.Keys(environments)) {
			fmt.Fprintf(&out, "\nVariables of `%s`: `%s`\n", program, environments[program])
		}
	}
	generated(t, "../../docs/commands.md", out.String())
}

// generated compares a generated page with its file, and with -update writes it.
func generated(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(got)); diff != "" {
		t.Errorf("%s is not current; run make docs (-want +got):\n%s", path, diff)
	}
}
