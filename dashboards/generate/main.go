// Generate writes the dashboards, and pages on which they can be reviewed.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/dashboards/board"
	"hygiene_exporter/dashboards/preview"
)

func main() {
	app := kingpin.New("generate", "Write the dashboards of the project.")
	dir := app.Flag("dir", "Where the dashboards go.").Default("dashboards/grafana").String()
	review := app.Flag("review", "Where pages go that show every panel with its values over the fixtures; none by default.").String()
	fixtures := app.Flag("fixtures", "Where the fixtures are.").Default("dashboards/testdata").String()
	kingpin.MustParse(app.Parse(os.Args[1:]))
	if err := generate(*dir); err != nil {
		app.Fatalf("%s", err)
	}
	if *review != "" {
		if err := pages(*review, *fixtures); err != nil {
			app.Fatalf("%s", err)
		}
	}
}

func generate(dir string) error {
	for _, b := range board.All() {
		data, err := b.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, b.UID+".json"), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func pages(dir, fixtures string) error {
	names, err := filepath.Glob(filepath.Join(fixtures, "*.prom"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	viewers := map[string]*preview.Viewer{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		store, err := preview.Parse(data, time.Now())
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		viewers[filepath.Base(name)] = preview.New(store)
	}
	for _, b := range board.All() {
		shown := map[string][]preview.Picture{}
		for name, viewer := range viewers {
			shown[name] = viewer.Show(context.Background(), b)
		}
		page, err := preview.Page(b, shown)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, b.UID+".html"), page, 0o644); err != nil {
			return err
		}
	}
	return nil
}
