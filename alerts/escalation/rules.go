package escalation

import (
	"bytes"
	_ "embed" // the text of the rules
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// How the rules judge. These are properties of the design, not of a site.
const (
	holdFor     = 6 * time.Hour    // how long problems of an unreachable agent stay as they were
	rememberFor = 24 * time.Hour   // how long an agent that left the discovery is missed
	skewLimit   = 30 * time.Second // how far the clock of an agent may be off
	stuckAfter  = 5 * time.Minute  // how long an agent may go without judging its facts
	massHosts   = 20               // how many hosts make a mass problem
	massShare   = 0.05             // and which share of the fleet
)

// A family is one alert name: the problems of one probe.
type family struct{ Alert, Probe string }

func families() []family {
	return []family{
		{"HygieneCertificateProblem", "certificate"},
		{"HygieneRedundancyProblem", "redundancy"},
		{"HygienePatchProblem", "patch"},
		{"HygienePortProblem", "port"},
		{"HygieneBackupProblem", "backup"},
		{"HygieneDrillProblem", "drill"},
		{"HygieneAgentProblem", "agent"},
	}
}

// anyProblem is the alert name of probes that have none of their own.
const anyProblem = "HygieneProblem"

// AlertName returns the name under which the problems of a probe are told.
func AlertName(probe string) string {
	for _, one := range families() {
		if one.Probe == probe {
			return one.Alert
		}
	}
	return anyProblem
}

// A step is one tier of a ladder that Prometheus has to time by itself, because
// a host that is down cannot compute deadlines.
type step struct {
	Tier int
	For  string
}

// hostDownLadder has no step below ten minutes above tier 1: Prometheus does not
// restore shorter ones after its restart.
func hostDownLadder() []step {
	return []step{{1, "5m"}, {2, "30m"}, {3, "2h"}}
}

//go:embed rules.yml.tmpl
var rulesTemplate string

// ruleData is what the template of the rules is filled with.
type ruleData struct {
	Options
	Families []family
	HostDown []step
}

// Rules returns the file with the escalation rules for Prometheus 2.42 and later.
func Rules(o Options) ([]byte, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	data := ruleData{Options: o, Families: families(), HostDown: hostDownLadder()}
	return render("rules", rulesTemplate, data, data.functions())
}

// render fills one of our templates. They use double square brackets, because
// the files they make are full of double braces.
func render(name, text string, data any, functions template.FuncMap) ([]byte, error) {
	parsed, err := template.New(name).Delims("[[", "]]").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return out.Bytes(), nil
}

func (d ruleData) functions() template.FuncMap {
	return template.FuncMap{
		"selector":   d.selector,
		"agent":      func(more ...string) string { return list(d.Labels, more...) },
		"fleet":      func(more ...string) string { return list(d.fleet(), more...) },
		"seconds":    seconds,
		"fleetNames": d.fleet,
		"probes":     d.probes,
		"owners":     d.owners,
		"trim":       func(link string) string { return strings.TrimRight(link, "/") },
		"hold":       func() time.Duration { return holdFor },
		"remember":   func() time.Duration { return rememberFor },
		"skew":       func() time.Duration { return skewLimit },
		"stuck":      func() time.Duration { return stuckAfter },
		"hosts":      func() int { return massHosts },
		"share":      func() float64 { return massShare },
		"percentage": func(share float64) float64 { return share * 100 },
		"words":      words,
	}
}

// selector returns {job="…"} with further matchers behind it.
func (d ruleData) selector(more ...string) string {
	return "{" + strings.Join(append([]string{"job=" + strconv.Quote(d.Job)}, more...), ", ") + "}"
}

func list(labels []string, more ...string) string {
	return "(" + strings.Join(append(append([]string{}, labels...), more...), ", ") + ")"
}

// seconds prints a time span as PromQL does arithmetic with it.
func seconds(span time.Duration) string { return strconv.Itoa(int(span.Seconds())) }

// words prints a time span for people.
func words(span time.Duration) string {
	switch {
	case span%time.Hour == 0:
		return fmt.Sprintf("%d h", span/time.Hour)
	case span%time.Minute == 0:
		return fmt.Sprintf("%d min", span/time.Minute)
	}
	return fmt.Sprintf("%d s", span/time.Second)
}

// probes returns a regular expression of the probes that have an alert name of
// their own.
func (d ruleData) probes() string {
	var names []string
	for _, one := range d.Families {
		names = append(names, one.Probe)
	}
	return strings.Join(names, "|")
}

// owners returns a regular expression of the owners that have a route, quoted
// for PromQL.
func (d ruleData) owners() string {
	var names []string
	for _, owner := range d.Owners {
		names = append(names, regexp.QuoteMeta(owner))
	}
	return strconv.Quote(strings.Join(names, "|"))
}
