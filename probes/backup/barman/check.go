package barman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/cluster"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
	"hygiene_exporter/probes/backup/wal"
)

// logs lists the log: what Barman has taken in, and what waits for that.
func (s *server) logs(ctx context.Context, v *view) (*cluster.Logs, []string, error) {
	size := int64(wal.DefaultSize)
	for _, b := range v.backups {
		if b.err == nil {
			size = b.segment
			break
		}
	}
	l := cluster.NewLogs(s.host, size)
	dirs, err := s.host.Files.ReadDir(v.set.wals)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	places := []string{v.set.wals} // where histories lie
	for _, dir := range dirs {
		if dir.IsDir() {
			places = append(places, path.Join(v.set.wals, dir.Name()))
		}
	}
	for _, place := range places {
		if err := l.List(ctx, place, false); err != nil {
			return nil, nil, err
		}
	}
	taken := l.Len()
	if err := l.List(ctx, v.set.incoming, true); err != nil {
		return nil, nil, err
	}
	var notes []string
	if n := l.Len() - taken; n > 0 {
		notes = append(notes, fmt.Sprintf("%d segments of the log wait for barman cron to take them in", n))
	}
	if failed, err := s.host.Files.ReadDir(v.set.errors); err == nil && len(failed) > 0 {
		notes = append(notes, fmt.Sprintf("%d files of the log could not be taken in and lie in %s", len(failed), v.set.errors))
	}
	return l, notes, nil
}

// base checks the base backup, with the manifest in it if there is one.
func (s *server) base(ctx context.Context, b backup, task job.Task, out *job.Outcome) (job.Outcome, error) {
	switch {
	case b.mode == "snapshot":
		return job.Outcome{}, probes.Because(probes.Unsupported, errors.New("the base backup is a snapshot at a provider, which is not to be seen from here"))
	case b.encryption != "":
		return job.Outcome{}, probes.Because(probes.Unsupported, errors.New("the base backup is encrypted, and only Barman has the key"))
	}
	if _, err := s.host.Files.Stat(path.Join(b.data(), "backup_manifest")); errors.Is(err, fs.ErrNotExist) {
		if strings.HasPrefix(b.mode, "postgres") {
			return job.Outcome{}, job.Flawed(job.Incomplete, "the base backup has lost its manifest")
		}
		out.Note("the backup has no manifest, so that a changed byte is noticed by a server only: \"barman generate-manifest\" makes one")
	}
	task.Units = []job.Unit{{ID: b.data(), Bytes: b.size}}
	task.Bytes = 0
	task.Point.Size = job.Of(b.size)
	found := s.files.Check(ctx, task)
	out.Noted(found.Notes...)
	out.Judged(found.Tools...)
	if !job.IsFlaw(found.Err) && errors.Is(found.Err, fs.ErrNotExist) {
		found.Err = job.Busy("the backup %s was removed while it was read", b.id)
	}
	return found, cmp.Or(found.Err, s.essential(b))
}

// essential demands what no cluster starts without.
func (s *server) essential(b backup) error {
	if b.mode == "postgres" {
		return nil // the manifest knows
	}
	for _, name := range []string{"PG_VERSION", "global/pg_control"} {
		info, err := s.host.Files.Stat(path.Join(b.data(), name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return job.Flawed(job.Incomplete, "the base backup lacks %s", name)
		case err != nil:
			return err
		case info.Size() == 0:
			return job.Flawed(job.Truncated, "%s is empty in the base backup", name)
		}
	}
	return nil
}

// structure demands that the base backup is whole by its form, and that no
// segment of the log is missing that it needs, or behind it.
func (s *server) structure(ctx context.Context, v *view, task job.Task, out *job.Outcome) error {
	b, err := v.find(task.Point.ID)
	if err != nil {
		return err
	}
	found, err := s.base(ctx, b, job.Task{Depth: job.Structure, Point: task.Point}, out)
	out.Size, out.Files = found.Size, found.Files
	if err != nil {
		return err
	}
	l, notes, err := s.logs(ctx, v)
	if err != nil {
		return err
	}
	out.Noted(notes...)
	err = l.Demand(b.beginWAL, b.endWAL, out)
	if err != nil && b.status == "WAITING_FOR_WALS" && time.Since(b.end) < cluster.Settle {
		return job.Busy("the backup %s has ended, and its log is still on its way", b.id)
	}
	return err
}

// read reads base backups and batches of the log.
func (s *server) read(ctx context.Context, v *view, task job.Task, out *job.Outcome) error {
	l, _, err := s.logs(ctx, v)
	if err != nil {
		return err
	}
	return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) {
		if strings.HasPrefix(u.ID, "log ") {
			return l.Read(ctx, u.ID, out)
		}
		b, err := v.find(u.ID)
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil // it has expired meanwhile
		}
		if err != nil {
			return 0, err
		}
		found, err := s.base(ctx, b, job.Task{Depth: job.Read, Point: task.Point}, out)
		return found.Bytes, err
	})
}

// restore restores a base backup as Barman would, and compares every file on the
// disk with the manifest; for a server to recover it, its log is put beside it.
func (s *server) restore(ctx context.Context, v *view, task job.Task, out *job.Outcome) error {
	if err := s.structure(ctx, v, task, out); err != nil {
		return err
	}
	b, err := v.find(task.Point.ID)
	if err != nil {
		return err
	}
	if b.tablespaces {
		out.Note("table spaces are checked where they lie, and restored only with the data directory")
	}
	if err := s.copy(ctx, b, task, out); err != nil {
		return err
	}
	if task.Loads() {
		if err := s.load(ctx, v, b, task, out); err != nil {
			return err
		}
	}
	out.Reached = append(append(out.Reached, job.Structure), task.Proves(task.Loads())...)
	return nil
}

// copy restores the base backup: its files, or what is in its archive.
func (s *server) copy(ctx context.Context, b backup, task job.Task, out *job.Outcome) error {
	for _, name := range []string{"base.tar", "base.tar.gz", "base.tar.lz4", "base.tar.zst"} {
		if _, err := s.host.Files.Stat(path.Join(b.data(), name)); err == nil {
			return s.unpack(ctx, b, name, task, out)
		}
	}
	only := task
	only.Depth = job.Restored
	only.Restore.Assert.Queries = nil
	found, err := s.base(ctx, b, only, out)
	out.Duration, out.RestoredBytes, out.Bytes = found.Duration, found.RestoredBytes, found.Bytes
	return err
}

// unpack restores what is in the archive of a base backup, once that was compared
// with the manifest.
func (s *server) unpack(ctx context.Context, b backup, name string, task job.Task, out *job.Outcome) error {
	if _, err := s.base(ctx, b, job.Task{Depth: job.Read, Point: task.Point}, out); err != nil {
		return err
	}
	if b.tablespaces {
		return probes.Because(probes.Unsupported, errors.New("table spaces in archives of their own are restored by Barman only"))
	}
	task.Restore.Sample = 0
	w, err := restore.New(s.host.Files, task.Restore, b.end, job.Of(b.size))
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	err = cluster.Unpack(ctx, s.host, path.Join(b.data(), name), func(tool job.Tool) { out.Judged(tool) }, func(in io.Reader) error {
		return w.Tar(ctx, in)
	})
	out.Duration, out.RestoredBytes, out.Bytes = w.Duration, w.Bytes, w.Bytes
	out.Note("%d files with %d bytes were restored", w.Count, w.Bytes)
	return cmp.Or(err, w.Assertions())
}

// load lets a server recover what was restored.
func (s *server) load(ctx context.Context, v *view, b backup, task job.Task, out *job.Outcome) error {
	l, _, err := s.logs(ctx, v)
	if err != nil {
		return err
	}
	data, err := restored(task.Restore.Scratch)
	if err != nil {
		return err
	}
	return l.Recover(ctx, task, data, b.beginWAL, out)
}

// restored finds the data directory in the scratch directory.
func restored(scratch string) (string, error) {
	for _, pattern := range []string{"PG_VERSION", "*/PG_VERSION", "*/*/PG_VERSION"} {
		if found, err := filepath.Glob(filepath.Join(scratch, pattern)); err == nil && len(found) == 1 {
			return filepath.Dir(found[0]), nil
		}
	}
	return "", job.Flawed(job.Incomplete, "there is no PG_VERSION in what was restored, without which PostgreSQL does not start")
}
