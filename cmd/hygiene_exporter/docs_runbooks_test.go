package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/detect"
)

// Whoever is told of something finds what to do, also where the agent cannot be
// reached.
func TestDocsRunbooks(t *testing.T) {
	files, err := alerts.Rules()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := detect.Load(files, metrics())
	if err != nil {
		t.Fatal(err)
	}
	rules := slices.Clone(loaded.Rules())
	slices.SortStableFunc(rules, func(a, b detect.Rule) int {
		return cmp.Or(strings.Compare(a.Probe, b.Probe), strings.Compare(a.Check, b.Check), slices.Index(detect.Severities(), a.Severity)-slices.Index(detect.Severities(), b.Severity))
	})
	var out bytes.Buffer
	fmt.Fprint(&out, `# Checks and runbooks

Generated from the source; `+"`make docs`"+` rewrites it. An agent serves the same pages at
`+"`/runbooks/`"+`.

| Check | Severity | Runbook | Alert |
|---|---|---|---|
`)
	for _, rule := range rules {
		name := rule.Probe + "-" + rule.Check
		fmt.Fprintf(&out, "| %s/%s | %s | [%s](../alerts/runbooks/%s.md) | `%s` |\n", rule.Probe, rule.Check, rule.Severity, name, name, rule.Alert)
	}
	generated(t, "../../docs/runbooks.md", out.String())
}
