// Package dashboards holds the dashboards for Grafana, as files to provision or
// to import. They are made by dashboards/generate from dashboards/board.
package dashboards

import (
	"embed"
	"io/fs"
)

//go:embed grafana/*.json
var embedded embed.FS

// Files returns the dashboards, one JSON file each.
func Files() fs.FS {
	files, err := fs.Sub(embedded, "grafana")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return files
}
