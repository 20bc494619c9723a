package preview

import (
	"bytes"
	_ "embed" // the page
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"hygiene_exporter/dashboards/board"
)

//go:embed page.html
var pageTemplate string

// Page draws a dashboard as HTML: for each panel its queries, and its values as
// they stand in each of the stores, by name.
func Page(b board.Board, shown map[string][]Picture) ([]byte, error) {
	type column struct {
		Name    string
		Picture Picture
	}
	type row struct {
		Panel   board.Panel
		Columns []column
	}
	var rows []row
	for i, p := range b.Panels {
		one := row{Panel: p}
		for _, name := range slices.Sorted(maps.Keys(shown)) {
			one.Columns = append(one.Columns, column{name, shown[name][i]})
		}
		rows = append(rows, one)
	}
	page, err := template.New("page").Funcs(template.FuncMap{"series": named}).Parse(pageTemplate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{"Board": b, "Rows": rows})
	return out.Bytes(), err
}

// named says what a value belongs to.
func named(l labels.Labels) string {
	var parts []string
	l.Range(func(l labels.Label) {
		if l.Name != "job" && l.Name != model.MetricNameLabel {
			parts = append(parts, l.Name+"="+l.Value)
		}
	})
	return strings.Join(parts, " ")
}
