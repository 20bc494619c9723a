package web

import (
	"net/http"
	"strings"
	"time"

	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// probePage is what the template of the page of a probe shows.
type probePage struct {
	Host     string
	Now      time.Time
	Probe    probeRow
	Others   []string
	State    string // in a sentence, when there is nothing to show, or more to know
	Problems []problemRow
	Chart    *chart
	Tables   []*table
	Faults   []faultRow
	More     int // faults that are not shown
}

// probe shows everything about one probe.
func (o Options) probe(w http.ResponseWriter, r *http.Request) {
	now, snapshot, name := o.Now(), o.Snapshot(), r.PathValue("name")
	report := snapshot.Reports[name]
	if report == nil || name == collector.AgentProbe {
		plain(w, http.StatusNotFound, "there is no probe of this name; there are "+strings.Join(probeNames(snapshot), ", "))
		return
	}
	p := probePage{Host: o.Host, Now: now, Probe: describeProbe(report), State: stateOf(report)}
	for _, other := range probeNames(snapshot) {
		if other != collector.AgentProbe {
			p.Others = append(p.Others, other)
		}
	}
	worst := map[string]string{}
	for _, problem := range problemRows(o.Problems(r.Context()), now) {
		if problem.Probe != name {
			continue
		}
		problem.link(o.Links(), o.Runbooks)
		p.Problems = append(p.Problems, problem)
		if known, seen := worst[problem.Object]; !seen || rank(problem.Severity) < rank(known) {
			worst[problem.Object] = problem.Severity
		}
	}
	v, ok := views()[name]
	if !ok {
		v = plainView(report)
	}
	if v.chart != nil {
		p.Chart = v.chart(report, now)
	}
	for _, spec := range v.tables {
		if t := spec.fill(report, func(object string) string { return worst[object] }); t != nil {
			p.Tables = append(p.Tables, t)
		}
	}
	for _, f := range report.Faults {
		p.Faults = append(p.Faults, faultRow{name, f.Object, string(f.Reason), f.Err.Error(), f.Since})
	}
	p.More, p.Faults = cut(p.Faults, shownFaults)
	render(w, "probe.html", now, p)
}

// stateOf says what people must know of a report before they read it.
func stateOf(r *collector.Report) string {
	switch {
	case r.Outcome == collector.NotRun:
		return "The first run is under way: nothing is known yet."
	case r.Outcome == collector.Failed && len(r.Samples) > 0:
		return "The last run failed. What is shown is what an earlier one saw."
	case r.Outcome == collector.Failed:
		return "The last run failed, and nothing is known."
	case r.Outcome == collector.NotApplicable:
		return "This host has nothing of the kind."
	case r.Outcome == collector.Disabled:
		return "This probe is switched off in the configuration."
	case len(r.Samples) == 0:
		return "There is nothing to show."
	}
	return ""
}

// plainView shows the facts of a probe that has no view of its own.
func plainView(r *collector.Report) view {
	var v view
	seen := map[*probes.Metric]bool{}
	for _, sample := range r.Samples {
		if seen[sample.Metric] {
			continue
		}
		seen[sample.Metric] = true
		short := strings.TrimPrefix(sample.Metric.Name, "hygiene_"+r.Probe+"_")
		c := column{title: "Value", metric: short}
		if strings.HasSuffix(short, "_timestamp_seconds") {
			c.format = asInstant
		}
		v.tables = append(v.tables, tableSpec{
			title: strings.ReplaceAll(short, "_", " "), help: sample.Metric.Help,
			keys: sample.Metric.Labels, columns: []column{c},
		})
	}
	return v
}
