// Package dumps loads the dumps of databases that lie in a backup of files, such
// as a repository, into throw-away engines. That a repository gives its files back
// says nothing of the dump that is one of them.
package dumps

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
	"hygiene_exporter/probes/internal/scratch"
)

// Within returns a copy that, where something must be loaded, loads every dump
// that matches one of the patterns of paths: a file of any form that the kind
// files loads, or a directory that pg_dump or pg_basebackup made. No pattern
// returns the copy itself.
func Within(c job.Copy, host probes.Host, patterns []string) job.Copy {
	if len(patterns) == 0 {
		return c
	}
	return &within{Copy: c, host: host, patterns: patterns}
}

type within struct {
	job.Copy

	host     probes.Host
	patterns []string
}

// Check lets the copy restore its files, and loads the dumps among them. Queries
// are asked of the engines; what else is demanded is demanded of the files.
func (w *within) Check(ctx context.Context, task job.Task) job.Outcome {
	if !task.Loads() {
		return w.Copy.Check(ctx, task)
	}
	tree := task
	tree.Depth = job.Restored
	tree.Restore.Sample = 0 // the dump may be what a sample leaves out
	tree.Restore.Assert.Queries = nil
	if !tree.Restore.Assert.None() {
		tree.Depth = job.Asserted
	}
	out := w.Copy.Check(ctx, tree)
	if out.Err != nil {
		return out
	}
	loaded := w.load(ctx, task)
	out.Err = loaded.Err
	out.Judged(loaded.Tools...)
	out.Noted(loaded.Notes...)
	// What the copy says that it reached it did without the queries.
	out.Reached = slices.DeleteFunc(out.Reached, func(d job.Depth) bool { return d == job.Asserted })
	if out.Err == nil {
		out.Reached = append(out.Reached, task.Proves(true)...)
	}
	return out
}

// load loads the dumps among what was restored.
func (w *within) load(ctx context.Context, task job.Task) (out job.Outcome) {
	found, err := find(task.Restore.Scratch, w.patterns)
	if err != nil {
		return job.Outcome{Err: err}
	}
	dir, err := scratch.Make(filepath.Dir(task.Restore.Scratch))
	if err != nil {
		return job.Outcome{Err: fmt.Errorf("there is no scratch directory: %w", err)}
	}
	defer func() {
		if err := scratch.Remove(dir); err != nil {
			out.Note("the scratch directory could not be removed: %v", err)
		}
	}()
	return files.Local(w.host, "").Check(ctx, job.Task{
		Depth: task.Depth, Point: job.Point{At: task.Point.At}, Units: files.Units(found),
		Restore: job.Restore{
			Scratch: dir, RPO: task.Restore.RPO, Memory: task.Restore.Memory,
			Assert: job.Assert{Queries: task.Restore.Assert.Queries},
		},
	})
}

// find returns the paths of the dumps that match, in the order of their names. A
// link is no dump: what it leads to is not what was restored.
func find(top string, patterns []string) ([]string, error) {
	var found []string
	matched := make([]bool, len(patterns))
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == top {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		hit := false
		for i, pattern := range patterns {
			if restore.Matches(pattern, rel) && (entry.Type().IsRegular() || entry.IsDir() && holdsDump(name)) {
				hit, matched[i] = true, true
			}
		}
		if !hit {
			return nil
		}
		found = append(found, name)
		if !entry.IsDir() {
			return nil
		}
		if err := linkless(name, rel); err != nil {
			return err
		}
		return fs.SkipDir
	})
	if err != nil {
		return nil, err
	}
	if i := slices.Index(matched, false); i >= 0 {
		return nil, job.Flawed(job.Unasserted, "no file that was restored matches %.80q, which should be loaded", patterns[i])
	}
	return found, nil
}

// holdsDump reports whether a directory is what pg_dump or pg_basebackup makes.
func holdsDump(dir string) bool {
	return slices.ContainsFunc([]string{"toc.dat", "PG_VERSION", "backup_manifest"}, func(name string) bool {
		info, err := os.Lstat(path.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	})
}

// linkless returns an error if there are links in a directory, such as those to
// table spaces: they would lead to the data of this host.
func linkless(dir, shown string) error {
	return filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type()&fs.ModeSymlink != 0 {
			err = probes.Because(probes.Unsupported, fmt.Errorf("%.80s holds the link %.80s, and may not be loaded: links are not followed out of what was restored", shown, entry.Name()))
		}
		return err
	})
}
