// Package alerts holds the detection rules that the agent has from the start,
// and a runbook for each of their checks. The rules are the only definition of
// bad; they hold no constant of a site.
package alerts

import (
	"bytes"
	"embed"
	"io/fs"
	"path"

	"hygiene_exporter/alerts/detect"
)

//go:embed rules/*.yml runbooks/*.md
var embedded embed.FS

// Rules returns the embedded detection rule files, by name.
func Rules() ([]detect.File, error) {
	names, err := fs.Glob(embedded, "rules/*.yml")
	if err != nil {
		return nil, err
	}
	files := make([]detect.File, 0, len(names))
	for _, name := range names {
		data, err := embedded.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, detect.File{Name: path.Base(name), Data: data})
	}
	return files, nil
}

// RuleFile returns all embedded detection rules as one rule file, for a central
// Prometheus that finds the problems itself.
func RuleFile() ([]byte, error) {
	files, err := Rules()
	if err != nil {
		return nil, err
	}
	var all []byte
	for i, file := range files {
		data := file.Data
		if i > 0 { // the key may stand in a file only once
			data = append([]byte("\n"), bytes.Replace(data, []byte("\ngroups:\n"), []byte("\n"), 1)...)
		}
		all = append(all, data...)
	}
	return all, nil
}

// Runbook returns the runbook of a check in Markdown. The error is
// fs.ErrNotExist when there is none, as for a check of a site's own rules.
func Runbook(probe, check string) (string, error) {
	data, err := embedded.ReadFile(path.Join("runbooks", path.Base(probe+"-"+check)+".md"))
	return string(data), err
}

// Runbooks returns all runbooks, as <probe>-<check>.md.
func Runbooks() fs.FS {
	runbooks, err := fs.Sub(embedded, "runbooks")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return runbooks
}
