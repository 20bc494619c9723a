package pgbackrest

import (
	"context"
	"crypto/sha1" //nolint:gosec // what pgBackRest has its checksums of
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/cluster"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// restore lets pgBackRest restore a backup into the scratch directory, and
// compares every file on the disk with the manifest.
func (r *repository) restore(ctx context.Context, v *view, task job.Task, out *job.Outcome) error {
	if err := r.structure(ctx, v, task, out); err != nil {
		return err
	}
	w, err := restore.New(r.host.Files, task.Restore, task.Point.At, out.Size)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	for _, dir := range []string{"data", "tablespaces"} {
		if err := os.Mkdir(filepath.Join(task.Restore.Scratch, dir), 0o700); err != nil {
			return err
		}
	}
	start := time.Now()
	restored, err := r.host.Pipes.Pipe(ctx, nil, io.Discard, "pgbackrest-restore", append(r.objects(), task.Point.ID, task.Restore.Scratch)...)
	out.Duration = time.Since(start)
	switch {
	case probes.ReasonOf(err) == probes.NotFound:
		return probes.Because(probes.Unsupported, errors.New("pgbackrest is not installed, without which nothing is restored"))
	case err != nil:
		return err
	case restored.ExitCode != 0:
		return unrestored(restored)
	}
	out.Judged(r.tool(ctx))
	data := filepath.Join(task.Restore.Scratch, "data")
	if err := cluster.Spaces(data, task.Restore.Scratch); err != nil {
		return err
	}
	root, err := os.OpenRoot(task.Restore.Scratch)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	_, err = r.manifest(ctx, v, task.Point.ID, func(_ *manifest, f file) error { return compare(ctx, root, f, w) })
	if err != nil {
		return err
	}
	out.RestoredBytes, out.Bytes = w.Bytes, w.Bytes
	out.Note("%d files with %d bytes were restored and compared with the manifest", w.Count, w.Bytes)
	if err := w.Assertions(); err != nil {
		return err
	}
	if task.Loads() {
		if err := r.load(ctx, v, task, out); err != nil {
			return err
		}
	}
	out.Reached = append(append(out.Reached, job.Structure), task.Proves(task.Loads())...)
	return nil
}

// load lets a server recover what was restored, with the log of the archive.
func (r *repository) load(ctx context.Context, v *view, task job.Task, out *job.Outcome) error {
	b, err := v.find(task.Point.ID)
	if err != nil {
		return err
	}
	l, err := r.logs(ctx, v, []backup{b})
	if err != nil {
		return err
	}
	data := filepath.Join(task.Restore.Scratch, "data")
	if archive := l.archives[b.Database]; archive != nil {
		most, err := cluster.Room(data, archive.Size)
		if err != nil {
			return err
		}
		err = cluster.Fill(ctx, data, archive.From(b.Start, most), func(ctx context.Context, name string, read func(io.Reader) error) error {
			return r.segment(ctx, v, l, batchOf(v.archives.history[b.Database].archive(), name), name, out, read)
		})
		if err != nil {
			return err
		}
	}
	return cluster.Load(ctx, r.host, task, data, out)
}

// segment hands on a segment of the log.
func (r *repository) segment(ctx context.Context, v *view, l *logs, batch, name string, out *job.Outcome, read func(io.Reader) error) error {
	for _, s := range l.batches[batch] {
		if s.name == name {
			return about(s.place, v.store.raw(ctx, s.place, func(in io.Reader) error {
				want := content{size: l.sizeOf(v, batch), sum: s.sum, read: read}
				return r.content(ctx, path.Ext(s.place), v.archives.pass, in, want, out)
			}))
		}
	}
	return job.Flawed(job.Incomplete, "the segment %s is missing", name)
}

// unrestored says what it means that pgBackRest did not restore a backup whose
// structure is whole.
func unrestored(out probes.Output) error {
	text := firstError(out.Stderr)
	err := failed(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return job.Flawed(job.Incomplete, "pgbackrest: %s", text)
	case errors.Is(err, errCipher), strings.Contains(text, "checksum"), strings.Contains(text, "inflate"), strings.Contains(text, "unexpected eof"),
		strings.Contains(text, "LZ4"), strings.Contains(text, "zst"), strings.Contains(text, "FormatError"), out.ExitCode == 26, out.ExitCode == 29:
		return job.Flawed(job.Damaged, "pgbackrest: %s", text)
	}
	return err
}

// place is where a file is restored to, below the scratch directory.
func (f file) place() (string, error) {
	top, rest, _ := strings.Cut(f.Name, "/")
	dir, known := map[string]string{"pg_data": "data", "pg_tblspc": "data/pg_tblspc"}[top]
	if !known {
		return "", job.Flawed(job.Damaged, "the manifest has a file %.80q", f.Name)
	}
	local, err := restore.Local(path.Join(dir, rest))
	if err == nil && strings.Contains("/"+f.Name+"/", "/../") {
		err = job.Flawed(job.Unsafe, "%.80q would be restored outside of its place", f.Name)
	}
	return local, err
}

// compare compares what was restored of a file.
func compare(ctx context.Context, root *os.Root, f file, w *restore.Writer) error {
	local, err := f.place()
	if err != nil || f.Name == "pg_data/tablespace_map" { // in whose place links are made
		return err
	}
	opened, err := root.Open(local)
	if errors.Is(err, fs.ErrNotExist) {
		return job.Flawed(job.Incomplete, "%.80q was not restored", f.Name)
	}
	if err != nil {
		return err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	digest := sha1.New() //nolint:gosec // see above
	n, err := io.Copy(digest, job.Interruptible(ctx, opened))
	if err != nil {
		return err
	}
	if n != f.Size || f.Sum != "" && n > 0 && hex.EncodeToString(digest.Sum(nil)) != f.Sum {
		return job.Flawed(job.Mismatch, "%.80q was restored with %d bytes and is not what the manifest tells", f.Name, n)
	}
	w.Found(local, info.ModTime(), n)
	return nil
}
