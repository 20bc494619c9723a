package dashboards

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"hygiene_exporter/dashboards/board"
	"hygiene_exporter/dashboards/preview"
)

func TestFilesAreWhatTheSourceSays(t *testing.T) {
	names, err := fs.Glob(Files(), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, b := range board.All() {
		want = append(want, b.UID+".json")
		made, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		kept, err := fs.ReadFile(Files(), b.UID+".json")
		if err != nil || string(kept) != string(made) {
			t.Errorf("%s.json is not what the source says (%v); run: make docs", b.UID, err)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// store reads a fixture.
func store(t *testing.T, name string) *preview.Store {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".prom")
	if err != nil {
		t.Fatal(err)
	}
	s, err := preview.Parse(data, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// Where something of everything is wrong, every panel shows something; where
// all is well, just the panels that are quiet then show nothing.
func TestPanelsShowWhatThereIs(t *testing.T) {
	for _, state := range []string{"healthy", "degraded"} {
		viewer := preview.New(store(t, state))
		for _, b := range board.All() {
			for _, picture := range viewer.Show(t.Context(), b) {
				p := picture.Panel
				empty := len(picture.Values) == 0
				switch {
				case p.Kind == board.Header:
				case picture.Err != nil:
					t.Errorf("%s, %s: %v", b.Title, p.Title, picture.Err)
				case empty && (state == "degraded" || !p.Quiet):
					t.Errorf("%s, %s shows nothing on the %s hosts", b.Title, p.Title, state)
				case !empty && state == "healthy" && p.Quiet:
					t.Errorf("%s, %s shows something while all is well: %v", b.Title, p.Title, picture.Values)
				}
			}
		}
	}
}

// Numbers that count what is wrong are green while all is well, and are not
// where something of everything is wrong.
func TestColoursTellWellFromNot(t *testing.T) {
	colors := map[string]map[string]string{}
	for _, state := range []string{"healthy", "degraded"} {
		colors[state] = map[string]string{}
		viewer := preview.New(store(t, state))
		for _, b := range board.All() {
			for _, picture := range viewer.Show(t.Context(), b) {
				if picture.Panel.Kind == board.Stat && len(picture.Values) > 0 {
					colors[state][b.Title+", "+picture.Panel.Title] = picture.Values[0].Color
				}
			}
		}
	}
	for name, color := range colors["healthy"] {
		if color != "green" {
			t.Errorf("%s is %s while all is well", name, color)
		}
	}
	for name, color := range colors["degraded"] {
		if color == "green" && !strings.HasSuffix(name, ", Agents") {
			t.Errorf("%s is green although something of everything is wrong", name)
		}
	}
}

// declared is the reference of all metrics: their labels, and the values of
// those labels that are closed sets.
func declared(t *testing.T) map[string]map[string][]string {
	t.Helper()
	reference, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| (.*?) \\| ")
	label := regexp.MustCompile("`([a-z0-9_]+)(?:=([^`]+))?`")
	metrics := map[string]map[string][]string{
		"up": {}, "process_resident_memory_bytes": {}, "process_cpu_seconds_total": {},
	}
	for _, m := range line.FindAllStringSubmatch(string(reference), -1) {
		known := map[string][]string{}
		for _, l := range label.FindAllStringSubmatch(m[3], -1) {
			known[l[1]] = nil
			if l[2] != "" {
				known[l[1]] = strings.Split(l[2], `\|`)
			}
		}
		metrics[m[1]] = known
		if m[2] == "histogram" {
			for _, suffix := range []string{"_sum", "_count", "_bucket"} {
				metrics[m[1]+suffix] = known
			}
		}
	}
	return metrics
}

// complain returns what is wrong with a label of a metric.
func complain(metrics map[string]map[string][]string, metric, name, value string, exact bool) string {
	known, ok := metrics[metric]
	values, has := known[name]
	switch {
	case !ok:
		return "is no metric of the reference"
	case name == "job" || name == "instance" || name == model.MetricNameLabel || name == "le" && strings.HasSuffix(metric, "_bucket"):
	case !has:
		return "has no label " + name
	case exact && values != nil && !slices.Contains(values, value):
		return "has no " + name + "=" + value
	}
	return ""
}

func TestQueriesReadWhatAgentsExport(t *testing.T) {
	metrics := declared(t)
	for _, b := range board.All() {
		for _, p := range b.Panels {
			for _, q := range p.Queries {
				selectors, err := preview.Selectors(q.Expr)
				if err != nil {
					t.Errorf("%s, %s: %v", b.Title, p.Title, err)
				}
				for _, s := range selectors {
					if s.Name == "" {
						continue // a choice of metrics by pattern
					}
					if metrics[s.Name] == nil {
						t.Errorf("%s, %s: %s is no metric of the reference", b.Title, p.Title, s.Name)
						continue
					}
					for _, m := range s.LabelMatchers {
						words := []string{m.Value}
						if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
							words = strings.Split(m.Value, "|")
						}
						for _, word := range words {
							plain := regexp.QuoteMeta(word) == word
							if c := complain(metrics, s.Name, m.Name, word, plain); c != "" {
								t.Errorf("%s, %s: %s %s", b.Title, p.Title, s.Name, c)
							}
						}
					}
				}
			}
		}
	}
}

func TestFixturesAreWhatAgentsExport(t *testing.T) {
	metrics := declared(t)
	for _, state := range []string{"healthy", "degraded"} {
		for _, series := range store(t, state).Series() {
			for name, value := range series.Labels {
				if c := complain(metrics, series.Name, name, value, true); c != "" {
					t.Errorf("%s: %s %s", state, series.Name, c)
				}
			}
		}
	}
}

// A dashboard is what of the JSON the checks below look at.
type dashboard struct {
	UID           string
	Editable      bool
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Label, Type, Definition, AllValue string
			Multi                                   bool
			Refresh                                 int
			Datasource                              struct{ UID string }
		}
	}
	Panels []struct {
		ID                       int
		Type, Title, Description string
		Datasource               struct{ UID string }
		GridPos                  struct{ X, Y, W, H int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct {
			Expr       string
			Datasource struct{ UID string }
		}
	}
}

// units are those of Grafana that the dashboards use.
func units() []string {
	return []string{"short", "s", "dateTimeFromNow", "bytes", "percentunit", "ops", "none"}
}

// The rules are those of Grafana's linter of dashboards. The overview of the
// fleet has no variable for the instance: it is about all of them.
func TestDashboardsFollowTheRulesOfGrafana(t *testing.T) {
	for _, b := range board.All() {
		t.Run(b.UID, func(t *testing.T) {
			data, err := b.JSON()
			if err != nil {
				t.Fatal(err)
			}
			var d dashboard
			if err := json.Unmarshal(data, &d); err != nil {
				t.Fatal(err)
			}
			if d.Editable || d.UID == "" || len(d.UID) > 40 || d.SchemaVersion == 0 {
				t.Errorf("editable %v, uid %q, schema %d", d.Editable, d.UID, d.SchemaVersion)
			}
			if regexp.MustCompile(`\$\{DS_|__inputs`).Match(data) {
				t.Error("it asks for something when it is imported")
			}
			lintVariables(t, d, b)
			lintPanels(t, d, b)
		})
	}
}

func lintVariables(t *testing.T, d dashboard, b board.Board) {
	t.Helper()
	names := []string{}
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		switch {
		case v.Type == "datasource":
			if v.Name != "datasource" || v.Label != "Data source" {
				t.Errorf("the data source is %q, %q", v.Name, v.Label)
			}
		case v.Datasource.UID != "${datasource}" || !v.Multi || v.Refresh != 2 || v.Label == "":
			t.Errorf("the variable %s is %+v", v.Name, v)
		case !strings.HasPrefix(v.Definition, "label_values("):
			t.Errorf("the variable %s asks %q", v.Name, v.Definition)
		case v.AllValue != map[string]string{"job": ".+", "instance": ".+", "owner": ".*"}[v.Name]:
			t.Errorf("all of the variable %s is %q", v.Name, v.AllValue)
		}
	}
	if diff := cmp.Diff(append([]string{"datasource"}, b.Variables...), names); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if fleet := b.UID == "hygiene-fleet"; slices.Contains(names, "instance") == fleet {
		t.Errorf("variables: %v", names)
	}
}

func lintPanels(t *testing.T, d dashboard, b board.Board) {
	t.Helper()
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is there twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, full := taken[[2]int{x, y}]; full || x >= 24 {
					t.Fatalf("%s lies over %s, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || !strings.HasSuffix(p.Description, ".") || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: %+v", p.Title, p)
		}
		if !slices.Contains(units(), p.FieldConfig.Defaults.Unit) {
			t.Errorf("%s: the unit %q", p.Title, p.FieldConfig.Defaults.Unit)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: the data source of a query is %q", p.Title, target.Datasource.UID)
			}
			lintQuery(t, p.Title, target.Expr, b)
		}
	}
}

var rangeOf = regexp.MustCompile(`(\w+)\([^()]*\{[^{}]*\}\[([^\]]+)\]\)`)

func lintQuery(t *testing.T, title, expr string, b board.Board) {
	t.Helper()
	for _, m := range regexp.MustCompile(`\{[^{}]*\}`).FindAllString(expr, -1) {
		for _, name := range b.Variables {
			if name != "owner" && !strings.Contains(m, name+`=~"$`+name+`"`) {
				t.Errorf("%s: %s is not narrowed down by %s", title, m, name)
			}
		}
	}
	for _, m := range rangeOf.FindAllStringSubmatch(expr, -1) {
		if m[1] == "rate" && m[2] != "$__rate_interval" {
			t.Errorf("%s: the range of a rate is %s", title, m[2])
		}
	}
	for _, m := range regexp.MustCompile(`(\w*)\(?\b(\w+_total)\{`).FindAllStringSubmatch(expr, -1) {
		if m[1] != "rate" && m[1] != "increase" && m[2] != "hygiene_probe_panics_total" {
			t.Errorf("%s: the counter %s is shown as it stands", title, m[2])
		}
	}
}
