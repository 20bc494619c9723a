package detect

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"hygiene_exporter/probes"
)

var (
	alertName = regexp.MustCompile(`^Hygiene[A-Z][A-Za-z0-9]+$`)
	word      = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

	// objectOf is the only template that a summary may hold.
	objectOf = regexp.MustCompile(`\{\{-?\s*(?:\$labels|\.Labels)\.object\s*-?\}\}`)
	// labelOf finds the labels that a text reads from the alert; those of a
	// query's results are written .Labels.
	labelOf = regexp.MustCompile(`\$labels\.([A-Za-z_][A-Za-z0-9_]*)`)
	// braces finds the parts of a text that are template.
	braces = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	// momentary finds what only a result can tell.
	momentary = regexp.MustCompile(`\$value\b|\.Value\b|\bquery\b`)
)

type complainer func(format string, args ...any)

// checkLabels checks the static labels, which name the problem.
func checkLabels(given map[string]string, complain complainer) {
	allowed := []string{"probe", "check", "severity", probes.LabelObject}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case !slices.Contains(allowed, name):
			complain("the label %s: a rule sets probe, check, severity and, about the whole host, object: host", name)
		case strings.Contains(given[name], "{{"):
			complain("the label %s is a template: a problem would change its identity", name)
		}
	}
	for _, name := range []string{"probe", "check"} {
		if value := given[name]; value == "" {
			complain("the label %s is missing", name)
		} else if !word.MatchString(value) {
			complain("the label %s: %.40q is not a word in small letters", name, value)
		}
	}
	if value := given["severity"]; value == "" {
		complain("the label severity is missing")
	} else if !slices.Contains(Severities(), value) {
		complain("the label severity: %.40q is not one of %s", value, strings.Join(Severities(), ", "))
	}
	if value, set := given[probes.LabelObject]; set && value != probes.HostObject {
		complain("the label object: %.40q; only a rule about the whole host sets it, to host", value)
	}
}

// The texts that every rule has.
func required() []string { return []string{"summary", "description", "impact", "action"} }

// checkTexts checks the annotations against the labels of the results.
func checkTexts(given map[string]string, result labelSet, complain complainer) {
	for _, name := range required() {
		if strings.TrimSpace(given[name]) == "" {
			complain("the annotation %s is missing", name)
		}
	}
	if strings.Contains(objectOf.ReplaceAllString(given["summary"], ""), "{{") {
		complain("the annotation summary names what it is about and nothing that changes; its only template is {{ $labels.object }}")
	}
	if result == nil {
		return
	}
	known := result.with()
	for _, name := range target() {
		known[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		for _, missing := range unknownLabels(given[name], known) {
			complain("the annotation %s reads $labels.%s, which the result %s does not have", name, missing, result)
		}
	}
}

func unknownLabels(text string, known labelSet) []string {
	var missing []string
	for _, part := range braces.FindAllString(text, -1) {
		for _, m := range labelOf.FindAllStringSubmatch(part, -1) {
			if !known[m[1]] && !slices.Contains(missing, m[1]) {
				missing = append(missing, m[1])
			}
		}
	}
	return missing
}

// summary expands the summary for an object. It is the same for as long as the
// problem lasts.
func (r *Rule) summary(object string) string {
	return objectOf.ReplaceAllLiteralString(r.Annotations["summary"], object)
}
