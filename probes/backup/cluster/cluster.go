// Package cluster is what kinds of backup of PostgreSQL have in common once a
// data directory is restored: its log is put beside it, and a real server
// recovers it and is asked.
package cluster

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/engine"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/scratch"
)

// mostLog is how many segments of the log are replayed at most: what the backup
// needs, and a good deal of what followed.
const mostLog = 256

// Room is how many segments of a size fit beside a restored directory, without
// taking the disk of others.
func Room(dir string, size int64) (int, error) {
	free, err := scratch.Free(dir)
	if err != nil {
		return 0, err
	}
	return int(min(mostLog, free/4/max(size, 1))), nil
}

// A Log hands on a segment as PostgreSQL wrote it.
type Log func(ctx context.Context, name string, read func(io.Reader) error) error

// Fill puts segments of the log into the data directory.
func Fill(ctx context.Context, data string, names []string, log Log) error {
	root, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := root.MkdirAll("pg_wal", 0o700); err != nil {
		return err
	}
	for _, name := range names {
		err := log(ctx, name, func(in io.Reader) error {
			file, err := root.OpenFile(path.Join("pg_wal", name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			_, err = io.Copy(file, job.Interruptible(ctx, in))
			return errors.Join(err, file.Close())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Spaces puts table spaces that a tool has restored elsewhere below the scratch
// directory to where the data directory links to them, so that nothing leads out
// of it.
func Spaces(data, scratch string) error {
	links := filepath.Join(data, "pg_tblspc")
	entries, err := os.ReadDir(links)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		link := filepath.Join(links, entry.Name())
		if entry.Type()&fs.ModeSymlink == 0 {
			continue
		}
		place, err := filepath.EvalSymlinks(link)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(scratch, place); err != nil || !filepath.IsLocal(rel) {
			return job.Flawed(job.Unsafe, "the table space %.80s was restored outside of its place", entry.Name())
		}
		if err := errors.Join(os.Remove(link), os.Rename(place, link)); err != nil {
			return err
		}
	}
	return nil
}

// Load lets a real server recover a data directory, and asks it.
func Load(ctx context.Context, host probes.Host, task job.Task, data string, out *job.Outcome) error {
	session := engine.New(host, task.Restore, task.Point.At)
	err := session.Load(ctx, content.BaseBackup, data)
	if err == nil {
		err = session.Assert(ctx)
	}
	out.Noted(session.Notes...)
	out.Judged(session.Tools...)
	if err := session.Close(); err != nil {
		out.Note("what the engine wrote could not be removed: %v", err)
	}
	return err
}
