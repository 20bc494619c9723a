// Package preview shows what dashboards would show: it executes the queries of
// their panels with the query engine of Prometheus, over series from a file, and
// draws the values as a plain page. It is for review and for tests, and no part
// of the agent.
package preview

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"hygiene_exporter/dashboards/board"
)

// A Picture is what a panel shows.
type Picture struct {
	Panel  board.Panel
	Values []Value
	Err    error
}

// A Value is one sample that a query of a panel returns.
type Value struct {
	Query  int // which of the panel's queries
	Labels labels.Labels
	Value  float64
	Color  string
	Text   string // with its unit
}

// A Viewer executes queries over a store of series.
type Viewer struct {
	store  *Store
	engine *promql.Engine
}

// New returns a viewer of the store.
func New(store *Store) *Viewer {
	return &Viewer{store: store, engine: promql.NewEngine(promql.EngineOpts{
		Logger: slog.New(slog.DiscardHandler), MaxSamples: 1 << 20, Timeout: 10 * time.Second,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
	})}
}

// Filled replaces the variables of Grafana as if everything were chosen.
func Filled(expr string) string {
	return strings.NewReplacer(
		"$__rate_interval", "5m", "$__range_s", "3600", "$__range", "1h",
		`"$job"`, `".+"`, `"$instance"`, `".+"`, `"$owner"`, `".*"`,
	).Replace(expr)
}

// Show returns what each panel of a dashboard shows.
func (v *Viewer) Show(ctx context.Context, b board.Board) []Picture {
	var pictures []Picture
	for _, p := range b.Panels {
		picture := Picture{Panel: p}
		for i, q := range p.Queries {
			vector, err := v.query(ctx, Filled(q.Expr))
			if err != nil {
				picture.Err = fmt.Errorf("%s: %w", q.Expr, err)
				break
			}
			for _, sample := range vector {
				picture.Values = append(picture.Values, describe(p, i, sample))
			}
		}
		pictures = append(pictures, picture)
	}
	return pictures
}

func (v *Viewer) query(ctx context.Context, expr string) (promql.Vector, error) {
	q, err := v.engine.NewInstantQuery(ctx, v.store, nil, expr, v.store.Now)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return nil, result.Err
	}
	switch value := result.Value.(type) {
	case promql.Vector:
		return slices.Clone(value), nil
	case promql.Scalar:
		return promql.Vector{{T: value.T, F: value.V}}, nil
	}
	return nil, fmt.Errorf("the result is a %s, which no panel shows", result.Value.Type())
}

func describe(p board.Panel, query int, sample promql.Sample) Value {
	unit, words := p.Unit, p.Words
	for _, c := range p.Columns {
		if c.Label == "" && c.Query == query {
			unit, words = c.Unit, c.Words
		}
	}
	value := Value{Query: query, Labels: sample.Metric, Value: sample.F, Text: format(unit, sample.F)}
	for _, step := range p.Steps {
		if step.Color != "" && (value.Color == "" || sample.F >= step.From) {
			value.Color = step.Color
		}
	}
	for _, word := range words {
		if word.Value == sample.F {
			value.Text, value.Color = word.Text, word.Color
		}
	}
	return value
}

// format prints a value as Grafana would, roughly.
func format(unit string, value float64) string {
	switch unit {
	case "s":
		return time.Duration(value * float64(time.Second)).Round(time.Second).String()
	case "dateTimeFromNow":
		return time.UnixMilli(int64(value)).UTC().Format("2006-01-02 15:04")
	case "percentunit":
		return fmt.Sprintf("%.0f %%", value*100)
	case "bytes":
		return fmt.Sprintf("%.1f MiB", value/(1<<20))
	}
	return fmt.Sprintf("%.4g", value)
}

// Selectors returns the series that an expression reads.
func Selectors(expr string) ([]*parser.VectorSelector, error) {
	parsed, err := parser.ParseExpr(Filled(expr))
	if err != nil {
		return nil, err
	}
	var all []*parser.VectorSelector
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			all = append(all, selector)
		}
		return nil
	})
	return all, nil
}
