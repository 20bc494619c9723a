package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

//go:embed assets
var assets embed.FS

// shownFaults bounds the lists of the status page; the API has them all.
const (
	shownFaults    = 200
	shownProblems  = 500
	shownDeadlines = 15
)

// page is what the template of the status page shows.
type page struct {
	Links         Links
	Host, Version string
	Now           time.Time
	Verdict       verdict
	Notices       []string
	Problems      []problemRow
	Deadlines     []deadline
	Probes        []probeRow
	Faults        []faultRow
	MoreProblems  int
	MoreFaults    int
}

type verdict struct {
	Class string // of the style sheet: good, warning, critical, unknown
	Text  string
}

type problemRow struct {
	monitor.Problem
	Tier    int
	Next    time.Time
	Runbook string // where it is; empty when there is none
	Silence string // where one is made; empty when nobody knows
}

// link fills in where to go from a problem. The silence is for this occurrence,
// and for all its tiers.
func (r *problemRow) link(links Links, runbooks fs.FS) {
	name := r.Probe + "-" + r.Check
	if _, err := fs.Stat(runbooks, name+".md"); err == nil {
		r.Runbook = "/runbooks/" + name
	}
	if links.Runbooks != "" {
		r.Runbook = strings.TrimSuffix(links.Runbooks, "/") + "/" + name
	}
	if links.Alertmanager != "" {
		filter := fmt.Sprintf("{episode=%q}", r.Episode)
		r.Silence = strings.TrimSuffix(links.Alertmanager, "/") + "/#/silences/new?filter=" + url.QueryEscape(filter)
	}
}

type probeRow struct {
	Name, Outcome, Class string
	Objects, Facts       int
	Faults               int
	LastRun              time.Time
	Took                 time.Duration
	Err                  error
}

type faultRow struct {
	Probe, Object, Reason, Error string
	Since                        time.Time
}

func (o Options) status(w http.ResponseWriter, r *http.Request) {
	now := o.Now()
	snapshot, problems := o.Snapshot(), o.Problems(r.Context())
	p := page{Links: o.Links(), Host: o.Host, Version: o.Version, Now: now, Notices: o.Notices()}
	p.Problems = problemRows(problems, now)
	for i := range p.Problems {
		p.Problems[i].link(p.Links, o.Runbooks)
	}
	for _, name := range probeNames(snapshot) {
		report := snapshot.Reports[name]
		if name != collector.AgentProbe {
			p.Probes = append(p.Probes, describeProbe(report))
		}
		for _, f := range report.Faults {
			p.Faults = append(p.Faults, faultRow{name, f.Object, string(f.Reason), f.Err.Error(), f.Since})
		}
	}
	p.Verdict = judge(problems, p.Probes, len(p.Faults))
	p.Deadlines = deadlines(snapshot, now, shownDeadlines)
	p.MoreProblems, p.Problems = cut(p.Problems, shownProblems)
	p.MoreFaults, p.Faults = cut(p.Faults, shownFaults)
	render(w, "status.html", now, p)
}

// cut shortens a list and returns how many it left off.
func cut[T any](list []T, limit int) (int, []T) {
	if len(list) <= limit {
		return 0, list
	}
	return len(list) - limit, list[:limit]
}

// problemRows sorts problems as whoever is on call wants them: those nobody
// has taken first, then by severity, then the longest open.
func problemRows(problems []monitor.Problem, now time.Time) []problemRow {
	var rows []problemRow
	for _, p := range problems {
		rows = append(rows, problemRow{Problem: p, Tier: p.Tier(now), Next: p.Next(now)})
	}
	rank := map[string]int{"critical": 0, "warning": 1, "info": 2}
	sort.SliceStable(rows, func(i, j int) bool {
		a, b := rows[i], rows[j]
		if taken := a.Ack != nil; taken != (b.Ack != nil) {
			return !taken
		}
		if rank[a.Severity] != rank[b.Severity] {
			return rank[a.Severity] < rank[b.Severity]
		}
		return a.Since.Before(b.Since)
	})
	return rows
}

func describeProbe(r *collector.Report) probeRow {
	row := probeRow{
		Name: r.Probe, Outcome: r.Outcome.String(), Facts: len(r.Samples), Faults: len(r.Faults),
		LastRun: r.LastRun, Took: r.Duration, Err: r.Err,
	}
	objects := map[string]bool{}
	for _, sample := range r.Samples {
		objects[sample.Object()] = true
	}
	delete(objects, probes.HostObject) // what the probe says of the host as a whole
	row.Objects = len(objects)
	row.Class = "good"
	switch {
	case r.Outcome == collector.Failed:
		row.Class = "critical"
	case len(r.Faults) > 0:
		row.Class = "warning"
	case r.Outcome != collector.Succeeded:
		row.Class = "unknown"
	}
	return row
}

// judge puts the state of the host into one sentence. It is good only if every
// probe could look everywhere: what was not seen is not fine.
func judge(problems []monitor.Problem, rows []probeRow, faults int) verdict {
	count := map[string]int{}
	for _, p := range problems {
		count[p.Severity]++
	}
	failed, waiting := 0, 0
	for _, row := range rows {
		switch row.Outcome {
		case collector.Failed.String():
			failed++
		case collector.NotRun.String():
			waiting++
		}
	}
	switch {
	case count["critical"] > 0:
		return verdict{"critical", fmt.Sprintf("%s, %d critical", plural(len(problems), "open problem"), count["critical"])}
	case count["warning"] > 0:
		return verdict{"warning", plural(len(problems), "open problem")}
	case failed > 0:
		return verdict{"unknown", plural(failed, "probe") + " could not run"}
	case waiting > 0:
		return verdict{"unknown", "first look under way"}
	case faults > 0 && len(problems) > 0:
		return verdict{"unknown", plural(len(problems), "note") + ", and " + plural(faults, "object") + " could not be inspected"}
	case faults > 0:
		return verdict{"unknown", "no open problem, but " + plural(faults, "object") + " could not be inspected"}
	case len(problems) > 0:
		return verdict{"good", plural(len(problems), "note")}
	}
	return verdict{"good", "no open problem; everything configured was inspected"}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// render executes a page into memory first, so that an error cannot leave half
// of it.
func render(w http.ResponseWriter, name string, now time.Time, data any) {
	pages, err := template.New(name).Funcs(template.FuncMap{
		"ago":    func(t time.Time) string { return span(now.Sub(t)) },
		"until":  func(t time.Time) string { return span(t.Sub(now)) },
		"clock":  func(t time.Time) string { return t.Format("2006-01-02 15:04 MST") },
		"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"took":   func(d time.Duration) string { return d.Round(100 * time.Microsecond).String() },
		"plural": plural,
		"span":   span,
		"relative": func(t time.Time) string {
			if t.After(now) {
				return "in " + span(t.Sub(now))
			}
			return span(now.Sub(t)) + " ago"
		},
		"held":  heldText,
		"ended": endedText,
	}).ParseFS(assets, "assets/*.html")
	if err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body.Bytes())
}

// heldText and endedText put the reasons of the ledger into words.
func heldText(reason ledger.Reason) string {
	switch reason {
	case ledger.AgentStarted:
		return "the agent has started and not looked again yet"
	case ledger.RuleFailed:
		return "its rule could not be evaluated"
	}
	return "its object could not be inspected"
}

func endedText(reason ledger.Reason) string {
	switch reason {
	case ledger.ObjectRemoved:
		return "its object was removed"
	case ledger.RuleRemoved:
		return "no rule looks for it any more"
	}
	return "it was seen to be over"
}

// span prints a duration in its two largest units, as people say it.
func span(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	case d < 365*day:
		return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
	}
	return fmt.Sprintf("%dy %dd", d/(365*day), d%(365*day)/day)
}

func style(w http.ResponseWriter, _ *http.Request) {
	sheet, err := assets.ReadFile("assets/style.css")
	if err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(sheet)
}
