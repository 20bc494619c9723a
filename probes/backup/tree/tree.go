// Package tree is the kind of backup that is a directory of directories, each of
// them one whole state of the data: what rsnapshot and scripts around rsync make.
package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "tree",
		Summary:  "Directories side by side, each of one state of the data, as rsnapshot and rsync make them.",
		Keys:     []string{"dataset", "snapshots", "manifest"},
		Needs:    []string{"dataset"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted},
		Commands: files.Kind().Commands,
		Check:    validate,
		Open: func(host probes.Host, o job.Options) job.Copy {
			return &trees{host: host, options: o, files: files.Kind().Open(host, job.Options{Manifest: o.Manifest})}
		},
	}
}

func validate(o job.Options) error {
	var errs []error
	if o.Dataset != "" && !filepath.IsAbs(o.Dataset) {
		errs = append(errs, probes.At("dataset", fmt.Errorf("%.80q is not an absolute path", o.Dataset)))
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		errs = append(errs, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
	}
	return errors.Join(errs...)
}

type trees struct {
	host    probes.Host
	options job.Options
	files   job.Copy // which checks one directory as a whole
}

// unfinished begins the names under which rsnapshot keeps what is not a state:
// the tree that it is just making, and those that it is just removing.
func unfinished() []string { return []string{".", "_delete."} }

// Look lists the trees. It does not go into them: that would take long. Each is
// as old as its directory, which rsnapshot sets to the end of the backup.
func (t *trees) Look(context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk"}
	entries, err := t.host.Files.ReadDir(t.options.Dataset)
	if err != nil {
		return sight, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || slices.ContainsFunc(unfinished(), func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		if match, err := doublestar.Match(cmp.Or(t.options.Snapshots, "*"), name); err != nil || !match {
			continue
		}
		place := path.Join(t.options.Dataset, name)
		info, err := t.host.Files.Stat(place)
		if err != nil {
			return sight, err
		}
		if sight.Devices == nil {
			sight.Devices = device.Of(t.host.Files, info)
		}
		sight.Points = append(sight.Points, job.Point{ID: place, At: info.ModTime(), Units: []string{place}})
		// How large a tree is stands nowhere: each counts alike for the coverage.
		sight.Units = append(sight.Units, job.Unit{ID: place, Bytes: 1, Stamp: info.ModTime().UTC().String()})
	}
	slices.SortStableFunc(sight.Points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	slices.SortStableFunc(sight.Units, func(a, b job.Unit) int {
		return cmp.Compare(index(sight.Points, a.ID), index(sight.Points, b.ID))
	})
	if len(sight.Points) > 0 {
		if _, err := t.host.Files.ReadDir(sight.Points[0].ID); err != nil {
			return sight, err
		}
	}
	return sight, nil
}

func index(points []job.Point, id string) int {
	return slices.IndexFunc(points, func(p job.Point) bool { return p.ID == id })
}

// Check checks trees as directories of files.
func (t *trees) Check(ctx context.Context, task job.Task) job.Outcome {
	return t.files.Check(ctx, task)
}
