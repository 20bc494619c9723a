package web

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// A view says how the facts of one probe are shown to people.
type view struct {
	chart  func(r *collector.Report, now time.Time) *chart // nil for none
	tables []tableSpec
}

// A tableSpec joins facts by their labels into the rows of a table.
type tableSpec struct {
	title, help string
	keys        []string // labels that make a row
	columns     []column
	where       map[string][]string // labels whose values are wanted; others are left out
	latestFirst bool                // else the earliest value of the first column comes first
}

// A column shows the value of one metric, or one of its labels.
type column struct {
	title  string
	metric string // without hygiene_<probe>_
	label  string // shown in place of the value
	format format
	where  map[string]string // labels that the metric must have
}

// A format says what a value means.
type format int

const (
	asNumber format = iota
	asInstant
	asBytes
	asSpan
	asShare
	asFlag
)

// A table is what is shown.
type table struct {
	Title, Help string
	Columns     []head
	Rows        []row
	More        int
}

// A head is the title of a column.
type head struct {
	Title  string
	Number bool // so are its values
}

type row struct {
	Class string // of the worst problem of its object
	Cells []cell
	sort  float64
}

type cell struct {
	Column  string
	Text    string
	At      time.Time // zero when the cell is no instant
	Number  bool
	IsLabel bool
}

// shownRows bounds a table; the API has all facts.
const shownRows = 500

// fill makes the table of a report. Tables without a row are not shown.
func (s tableSpec) fill(r *collector.Report, class func(object string) string) *table {
	rows := map[string]*row{}
	var order []string
	for _, sample := range r.Samples {
		short := strings.TrimPrefix(sample.Metric.Name, "hygiene_"+r.Probe+"_")
		for i, c := range s.columns {
			if c.metric != short || !s.wants(sample) || !c.wants(sample) {
				continue
			}
			key := make([]string, len(s.keys))
			for j, name := range s.keys {
				key[j] = sample.Label(name)
			}
			id := strings.Join(key, "\xff")
			known := rows[id]
			if known == nil {
				known = &row{Class: class(sample.Object()), Cells: s.empty(key)}
				rows[id] = known
				order = append(order, id)
			}
			known.Cells[len(s.keys)+i] = c.cell(sample)
			if i == 0 {
				known.sort = sample.Value
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	t := &table{Title: s.title, Help: s.help}
	for _, id := range order {
		t.Rows = append(t.Rows, *rows[id])
	}
	t.trim(s.titles())
	slices.SortStableFunc(t.Rows, func(a, b row) int {
		by := cmp.Compare(a.sort, b.sort)
		if s.latestFirst {
			by = -by
		}
		return cmp.Or(rank(a.Class)-rank(b.Class), by, strings.Compare(a.Cells[0].Text, b.Cells[0].Text))
	})
	t.More, t.Rows = cut(t.Rows, shownRows)
	return t
}

// trim leaves out the columns in which there is nothing.
func (t *table) trim(titles []string) {
	used := make([]bool, len(titles))
	numbers := make([]bool, len(titles))
	for _, r := range t.Rows {
		for i, c := range r.Cells {
			used[i] = used[i] || c.Text != "" || !c.At.IsZero()
			numbers[i] = numbers[i] || c.Number
		}
	}
	for i, title := range titles {
		if used[i] {
			t.Columns = append(t.Columns, head{title, numbers[i]})
		}
	}
	for i := range t.Rows {
		var cells []cell
		for j, c := range t.Rows[i].Cells {
			if used[j] {
				cells = append(cells, c)
			}
		}
		t.Rows[i].Cells = cells
	}
}

// rank puts what is worse first.
func rank(class string) int {
	return slices.Index([]string{"critical", "warning", "info", ""}, class)
}

func (s tableSpec) wants(sample probes.Sample) bool {
	for name, values := range s.where {
		if !slices.Contains(values, sample.Label(name)) {
			return false
		}
	}
	return true
}

func (c column) wants(sample probes.Sample) bool {
	for name, value := range c.where {
		if sample.Label(name) != value {
			return false
		}
	}
	return true
}

func (s tableSpec) titles() []string {
	var titles []string
	for _, key := range s.keys {
		titles = append(titles, strings.ToUpper(key[:1])+key[1:])
	}
	for _, c := range s.columns {
		titles = append(titles, c.title)
	}
	return titles
}

// empty is a row of which only the keys are known.
func (s tableSpec) empty(key []string) []cell {
	cells := make([]cell, len(s.keys)+len(s.columns))
	for i, title := range s.titles() {
		cells[i].Column = title
		if i < len(key) {
			cells[i].Text, cells[i].IsLabel = key[i], true
		}
	}
	return cells
}

func (c column) cell(sample probes.Sample) cell {
	one := cell{Column: c.title}
	if c.label != "" {
		one.Text = sample.Label(c.label)
		return one
	}
	value := sample.Value
	switch c.format {
	case asInstant:
		one.At = time.UnixMilli(int64(value * 1000))
		return one
	case asBytes:
		one.Text = bytesText(value)
	case asSpan:
		one.Text = span(time.Duration(value * float64(time.Second)))
	case asShare:
		one.Text = fmt.Sprintf("%.0f %%", value*100)
	case asFlag:
		one.Text = map[bool]string{true: "yes", false: "no"}[value != 0]
		return one
	default:
		one.Text = strconv.FormatFloat(value, 'f', -1, 64)
	}
	one.Number = true
	return one
}

// bytesText prints a size in binary units.
func bytesText(value float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if value < 1024 {
			return fmt.Sprintf("%.4g %s", value, unit)
		}
		value /= 1024
	}
	return fmt.Sprintf("%.4g TiB", value)
}
