// Package board describes the dashboards that the project ships, and writes them
// as Grafana reads them. It promises that the same source always gives the same
// bytes, that no dashboard names a data source of its own, and that every panel
// says in words what it shows.
package board

import (
	"strings"
)

// A Board is one dashboard.
type Board struct {
	UID         string // stable, and part of every link to it
	Title       string
	Description string
	Variables   []string // of job, instance and owner, those that it filters by
	Panels      []Panel  // in reading order; the layout follows from their sizes
}

// A Kind is a way to show values.
type Kind string

// The kinds of panel.
const (
	Stat   Kind = "stat"
	Table  Kind = "table"
	Lines  Kind = "timeseries"
	Bars   Kind = "bargauge"
	Header Kind = "row"
)

// A Panel is one picture.
type Panel struct {
	Kind        Kind
	Title       string
	Description string
	Unit        string // of Grafana, such as "s" or "dateTimeFromNow"
	Width       int    // of 24
	Height      int
	Queries     []Query
	Steps       []Step   // colours; the first begins at minus infinity
	Columns     []Column // of a table; labels that are not named are left out
	Words       []Word   // what stands in place of a number

	// Quiet says that there is nothing to show while all is well. A panel that
	// is not quiet shows something on every host that has what it is about.
	Quiet bool
}

// A Query is one expression of a panel.
type Query struct {
	Expr   string
	Legend string
}

// A Step is the colour from a value on.
type Step struct {
	From  float64
	Color string
}

// A Column of a table shows a label, or with an empty label the value of a query.
type Column struct {
	Label string // of the series; empty for a value
	Query int    // which query's value
	Title string
	Unit  string // of the value
	Words []Word
}

// A Word stands for a value.
type Word struct {
	Value float64
	Text  string
	Color string
}

// The colours of what is as it should be, needs somebody, needs somebody now,
// and is not known.
const (
	good    = "green"
	notice  = "yellow"
	bad     = "red"
	neutral = "text"
	unknown = "purple"
)

// All returns the dashboards, in the order in which people should meet them.
func All() []Board {
	return []Board{
		fleet(), host(), certificates(), redundancy(), patches(), ports(), backups(), escalation(), agent(),
	}
}

// of returns the selector of a metric that the variables of a dashboard narrow
// down. Owners are named by facts that somebody can own.
func of(metric string, matchers ...string) string {
	all := append([]string{`job=~"$job"`, `instance=~"$instance"`}, matchers...)
	return metric + "{" + strings.Join(all, ", ") + "}"
}

// owned returns the same, narrowed down to the chosen owners.
func owned(metric string, matchers ...string) string {
	return of(metric, append([]string{`owner=~"$owner"`}, matchers...)...)
}

// fleetOf returns a selector over all instances.
func fleetOf(metric string, matchers ...string) string {
	return metric + "{" + strings.Join(append([]string{`job=~"$job"`}, matchers...), ", ") + "}"
}

// age counts the time since an instant, in seconds.
func age(instant string) string { return "time() - " + instant }

// left counts the time until an instant, in seconds.
func left(instant string) string { return "(" + instant + ") - time()" }

// milliseconds turns an instant into what Grafana takes for one.
func milliseconds(instant string) string { return instant + " * 1000" }

// The units of Grafana in use.
const (
	number    = "short"
	seconds   = "s"
	fromNow   = "dateTimeFromNow"
	size      = "bytes"
	ratio     = "percentunit"
	perSecond = "ops"
	none      = "none"
)

// stat shows one number.
func stat(title, description, unit, expr string, steps ...Step) Panel {
	return Panel{
		Kind: Stat, Title: title, Description: description, Unit: unit, Width: 4, Height: 4,
		Queries: []Query{{Expr: expr}}, Steps: steps,
	}
}

// count shows how many of something there are, where none is as it should be.
func count(title, description, color, expr string) Panel {
	return stat(title, description, number, expr+" or vector(0)", Step{Color: good}, Step{From: 1, Color: color})
}

// lines shows values over time.
func lines(title, description, unit string, queries ...Query) Panel {
	return Panel{Kind: Lines, Title: title, Description: description, Unit: unit, Width: 12, Height: 8, Queries: queries}
}

// bars compares values.
func bars(title, description, unit string, query Query, steps ...Step) Panel {
	return Panel{Kind: Bars, Title: title, Description: description, Unit: unit, Width: 12, Height: 8, Queries: []Query{query}, Steps: steps}
}

// table lists objects, one in each line.
func table(title, description string, columns []Column, exprs ...string) Panel {
	p := Panel{Kind: Table, Title: title, Description: description, Unit: none, Width: 24, Height: 9, Columns: columns}
	for _, expr := range exprs {
		p.Queries = append(p.Queries, Query{Expr: expr})
	}
	return p
}

// header begins a part of a dashboard.
func header(title string) Panel { return Panel{Kind: Header, Title: title, Width: 24, Height: 1} }

func (p Panel) wide(width int) Panel { p.Width = width; return p }

func (p Panel) high(height int) Panel { p.Height = height; return p }

// quiet marks a panel that shows nothing while all is well.
func (p Panel) quiet() Panel { p.Quiet = true; return p }

func (p Panel) words(words ...Word) Panel { p.Words = words; return p }

// label is a column of a label under a title.
func label(name, title string) Column { return Column{Label: name, Title: title} }

// value is a column of the value of a query.
func value(query int, title, unit string, words ...Word) Column {
	return Column{Query: query, Title: title, Unit: unit, Words: words}
}

// below is in order from a value on, such as the time that is left.
func below(critical, warning float64) []Step {
	return []Step{{Color: bad}, {From: critical, Color: notice}, {From: warning, Color: good}}
}

// above is in order up to a value, such as an age.
func above(warning, critical float64) []Step {
	return []Step{{Color: good}, {From: warning, Color: notice}, {From: critical, Color: bad}}
}

func yesNo() []Word {
	return []Word{{Value: 0, Text: "no", Color: neutral}, {Value: 1, Text: "yes", Color: neutral}}
}
