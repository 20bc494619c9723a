// Package tree is the kind of backup that is a directory of directories, each of
// them one whole state of the data: what rsnapshot and scripts around rsync make.
package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

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
		Trees:    true,
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

// unfinished reports whether a name is one under which rsnapshot or a script keep
// what is not a state: the tree that is just being made or removed.
func unfinished(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_delete.") {
		return true
	}
	return slices.ContainsFunc([]string{"incomplete", "inprogress", "in_progress", "in-progress", "partial", "tmp"}, func(word string) bool {
		rest, ends := strings.CutSuffix(strings.ToLower(name), word)
		return ends && (rest == "" || strings.ContainsRune("._-", rune(rest[len(rest)-1])))
	})
}

// dated matches an instant, or at least a day, in the name of a tree.
var dated = regexp.MustCompile(`(\d{4})[-_.]?(\d{2})[-_.]?(\d{2})(?:[-_.T ]?(\d{2})[-_.:h]?(\d{2})(?:[-_.:m]?(\d{2}))?)?`)

// age is when a tree was made: by its name, if that tells. rsync gives a tree the
// time of its source, which may be years ago; rsnapshot sets it to the end of the
// backup.
func age(name string, info fs.FileInfo, zone *time.Location) time.Time {
	m := dated.FindStringSubmatch(name)
	if m == nil {
		return info.ModTime()
	}
	day, err := time.ParseInLocation("20060102", m[1]+m[2]+m[3], zone)
	if err != nil {
		return info.ModTime()
	}
	if at, err := time.ParseInLocation("20060102150405", m[1]+m[2]+m[3]+m[4]+m[5]+cmp.Or(m[6], "00"), zone); err == nil {
		return at
	}
	// The name tells the day alone: the latest that can be is taken, if the
	// directory tells of something on that day.
	at := day
	times := []time.Time{info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		times = append(times, time.Unix(stat.Ctim.Unix()))
	}
	for _, t := range times {
		if t.After(at) && t.Before(day.AddDate(0, 0, 1)) {
			at = t
		}
	}
	return at
}

// Look lists the trees. It does not go into them: that would take long.
func (t *trees) Look(context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk"}
	entries, err := t.host.Files.ReadDir(t.options.Dataset)
	if err != nil {
		return sight, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || unfinished(name) {
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
		sight.Points = append(sight.Points, job.Point{ID: place, At: age(name, info, time.Local), Units: []string{place}})
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
	return t.files.Check(ctx, task.Unstamped())
}
