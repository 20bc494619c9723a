package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/collector"
)

// A chart is a picture of lines, one for each object, in a space that is 1000
// units wide. It says nothing that the tables do not say, so that nobody needs
// to see it.
type chart struct {
	Title string
	Lines []chartLine
	Marks []mark // over all lines
	Key   []swatch
}

type chartLine struct {
	Name   string
	Text   string // what it shows, in words
	Shapes []shape
}

// A shape is a box of a line.
type shape struct {
	X, W  int
	Class string // of the style sheet
	Title string
}

// A mark is an instant.
type mark struct {
	X    int
	Text string
}

type swatch struct{ Class, Text string }

// shownLines bounds a chart.
const shownLines = 40

// values collects one metric of a report by the given labels.
func values(r *collector.Report, metric string, by ...string) map[string]float64 {
	all := map[string]float64{}
	for _, sample := range r.Samples {
		if sample.Metric.Name != "hygiene_"+r.Probe+"_"+metric {
			continue
		}
		var key []string
		for _, name := range by {
			key = append(key, sample.Label(name))
		}
		all[strings.Join(key, " ")] = sample.Value
	}
	return all
}

// ordered returns the keys by value, the lowest first, at most as many as a
// chart has lines.
func ordered(all map[string]float64) []string {
	var keys []string
	for key := range all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(all[a], all[b]), strings.Compare(a, b)) })
	return keys[:min(len(keys), shownLines)]
}

// lifetimes draws what is left of the life of each certificate, up to a year and
// a quarter from now: until its renewal is due, from then on until it is
// overdue, and until it expires.
func lifetimes(r *collector.Report, now time.Time) *chart {
	const horizon = 456 * 24 * time.Hour
	end, due, overdue := values(r, "not_after_timestamp_seconds", "object", "slot"),
		values(r, "renewal_due_timestamp_seconds", "object", "slot"), values(r, "renewal_overdue_timestamp_seconds", "object", "slot")
	for key := range end {
		if _, managed := due[key]; !managed {
			delete(end, key) // of a bundle of authorities, which nobody renews here
		}
	}
	if len(end) == 0 {
		return nil
	}
	place := func(seconds float64) int {
		left := time.Unix(int64(seconds), 0).Sub(now)
		return int(min(1000, max(0, 1000*left.Hours()/horizon.Hours())))
	}
	c := &chart{Title: "Time left", Key: []swatch{{"good", "before renewal is due"}, {"warning", "renewal is due"}, {"critical", "overdue"}}}
	for _, months := range []int{0, 3, 6, 9, 12, 15} {
		at := now.AddDate(0, months, 0)
		c.Marks = append(c.Marks, mark{place(float64(at.Unix())), map[bool]string{true: "now", false: at.Format("Jan 2006")}[months == 0]})
	}
	for _, key := range ordered(end) {
		a, b, e := place(due[key]), place(overdue[key]), place(end[key])
		line := chartLine{Name: key, Text: "expires " + time.Unix(int64(end[key]), 0).Format("2006-01-02")}
		for _, s := range []shape{{0, a, "good", "before renewal is due"}, {a, b - a, "warning", "renewal is due"}, {b, e - b, "critical", "overdue"}} {
			if s.W > 0 {
				line.Shapes = append(line.Shapes, s)
			}
		}
		if len(line.Shapes) == 0 {
			line.Shapes = []shape{{0, 4, "critical", "expired"}}
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// members draws a box for each member of each object.
func members(r *collector.Report, _ time.Time) *chart {
	active := map[string][]bool{}
	names := map[string][]string{}
	for _, sample := range r.Samples {
		if sample.Metric.Name == "hygiene_redundancy_member_active" {
			object := sample.Object()
			active[object] = append(active[object], sample.Value != 0)
			names[object] = append(names[object], sample.Label("member"))
		}
	}
	if len(active) == 0 {
		return nil
	}
	left := map[string]float64{}
	for object := range active {
		left[object] = 0
	}
	for object, tolerated := range values(r, "failures_tolerated", "object") {
		if _, shown := left[object]; shown {
			left[object] = tolerated
		}
	}
	c := &chart{Title: "Members", Key: []swatch{{"good", "does its part"}, {"critical", "does not"}}}
	for _, object := range ordered(left) {
		width := min(60, 1000/max(1, len(active[object])))
		line, up := chartLine{Name: object}, 0
		for i, works := range active[object] {
			s := shape{X: i * width, W: max(1, width-4), Class: "critical", Title: names[object][i] + " does not do its part"}
			if works {
				up++
				s.Class, s.Title = "good", names[object][i]
			}
			line.Shapes = append(line.Shapes, s)
		}
		line.Text = fmt.Sprintf("%d of %d members", up, len(active[object]))
		c.Lines = append(c.Lines, line)
	}
	return c
}

// ladder is the order of depths.
func ladder() []string {
	return []string{"present", "listed", "structure", "read", "restored", "loaded", "asserted"}
}

// depths draws how deeply each copy was ever checked: a rung for each depth,
// whose check may have become due again.
func depths(r *collector.Report, now time.Time) *chart {
	verified, due := values(r, "verified_timestamp_seconds", "object", "copy", "depth"), values(r, "verify_deadline_timestamp_seconds", "object", "copy", "depth")
	copies := map[string]float64{}
	for _, all := range []map[string]float64{verified, due} {
		for key := range all {
			copies[key[:strings.LastIndex(key, " ")]] = 0
		}
	}
	if len(copies) == 0 {
		return nil
	}
	c := &chart{Title: "Depth", Key: []swatch{{"good", "checked"}, {"warning", "due"}, {"none", "never"}}}
	width := 1000 / len(ladder())
	for i, depth := range ladder() {
		c.Marks = append(c.Marks, mark{i * width, depth})
	}
	for _, copied := range ordered(copies) {
		line := chartLine{Name: copied}
		var done []string
		for i, depth := range ladder() {
			s := shape{X: i * width, W: width - 6, Class: "none", Title: depth + ": never"}
			if at, ok := verified[copied+" "+depth]; ok {
				s.Class, s.Title = "good", depth+": "+time.Unix(int64(at), 0).Format("2006-01-02 15:04")
				done = append(done, depth)
			}
			if at, ok := due[copied+" "+depth]; ok && at <= float64(now.Unix()) {
				s.Class, s.Title = "warning", s.Title+", due since "+time.Unix(int64(at), 0).Format("2006-01-02 15:04")
			}
			line.Shapes = append(line.Shapes, s)
		}
		line.Text = "never checked"
		if len(done) > 0 {
			line.Text = "checked: " + strings.Join(done, ", ")
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}
