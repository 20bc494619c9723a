package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
	"hygiene_exporter/probes/internal/scratch"
)

func smallest(list []bucket.Object) []bucket.Object {
	list = slices.DeleteFunc(slices.Clone(list), func(o bucket.Object) bool { return o.Size == 0 })
	slices.SortFunc(list, func(a, b bucket.Object) int { return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.Key, b.Key)) })
	return list[:min(len(list), 10)]
}

// A spool is a directory for objects as files, as long as they are needed.
type spool struct {
	dir   string
	count int
}

func (l *location) spool(base string) (*spool, error) {
	if base == "" {
		return nil, probes.Because(probes.Unsupported, errors.New("it can only be judged as a file, and there is no scratch directory"))
	}
	dir, err := scratch.Make(base)
	if err != nil {
		return nil, fmt.Errorf("there is no scratch directory: %w", err)
	}
	return &spool{dir: dir}, nil
}

func (s *spool) remove() { _ = scratch.Remove(s.dir) }

// take downloads an object, and compares it with what the server tells of it.
func (l *location) take(ctx context.Context, s *spool, o bucket.Object, out *job.Outcome) (string, error) {
	free, err := scratch.Free(s.dir)
	if err != nil {
		return "", err
	}
	if o.Size > free-free/10 {
		return "", probes.Because(probes.TooLarge, fmt.Errorf("%.80q with %d bytes does not fit into the scratch directory", o.Key, o.Size))
	}
	r, err := l.bucket.Open(ctx, o)
	if err != nil {
		return "", l.gone(err, o)
	}
	defer r.Close()
	s.count++
	dir := filepath.Join(s.dir, strconv.Itoa(s.count)) // names may be the same
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(dir, filepath.Base(filepath.Clean("/"+o.Key)))
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, r)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	if !r.Source.IsZero() {
		_ = os.Chtimes(name, r.Source, r.Source)
	}
	return name, l.compare(r, o, out)
}

// local judges objects once they are files.
func (l *location) local() job.Copy { return files.Local(l.host, l.options.Content) }

// spooled downloads an object that only programs can judge, which want a file.
func (l *location) spooled(ctx context.Context, o bucket.Object, out *job.Outcome) error {
	s, err := l.spool(l.host.Scratch)
	if err != nil {
		return err
	}
	defer s.remove()
	name, err := l.take(ctx, s, o, out)
	if name == "" || err != nil && !job.IsFlaw(err) {
		return err
	}
	judged := l.local().Check(ctx, job.Task{Depth: job.Read, Units: files.Units([]string{name})})
	out.Judged(judged.Tools...)
	out.Noted(judged.Notes...)
	return cmp.Or(judged.Err, err) // the content says better what is wrong
}

// restore downloads a backup and restores it: what is packed is unpacked as files
// are, and a tree of objects becomes a tree of files.
func (l *location) restore(ctx context.Context, task job.Task, out *job.Outcome) error {
	var objects []bucket.Object
	s := l.seen()
	for _, u := range task.Units {
		o, there := bucket.Object{}, false
		if s != nil {
			o, there = s.byKey[u.ID]
		}
		if !there {
			return probes.Because(probes.TooLarge, fmt.Errorf("a backup of more than %d objects is not restored for a test", maxLoose))
		}
		objects = append(objects, o)
	}
	packed, err := l.packed(ctx, objects)
	if err != nil {
		return err
	}
	if !packed {
		return l.tree(ctx, task, objects, out)
	}
	return l.unpack(ctx, task, objects, out)
}

// packed reports whether one of the objects would be unpacked to restore it. The
// first few tell.
func (l *location) packed(ctx context.Context, objects []bucket.Object) (bool, error) {
	for _, o := range objects[:min(len(objects), asked)] {
		head, err := l.bucket.Head(ctx, o, content.HeadSize)
		if err != nil {
			return false, l.gone(err, o)
		}
		if files.Recognised(path.Base(o.Key), head) {
			return true, nil
		}
	}
	return false, nil
}

// unpack downloads everything first, and restores it as files.
func (l *location) unpack(ctx context.Context, task job.Task, objects []bucket.Object, out *job.Outcome) error {
	spool, err := l.spool(filepath.Dir(filepath.Clean(task.Restore.Scratch)))
	if err != nil {
		return err
	}
	defer spool.remove()
	var paths []string
	start := time.Now()
	for _, o := range objects {
		name, err := l.take(ctx, spool, o, out)
		out.Bytes += o.Size
		if err != nil {
			return err
		}
		paths = append(paths, name)
	}
	downloading := time.Since(start)
	task.Units = files.Units(paths)
	task.Point.Size = job.Count{} // that of the objects, and not of what is in them
	restored := l.local().Check(ctx, task)
	out.Judged(restored.Tools...)
	out.Noted(restored.Notes...)
	out.Reached, out.Duration, out.RestoredBytes = restored.Reached, downloading+restored.Duration, restored.RestoredBytes
	return restored.Err
}

// tree writes each object under its key.
func (l *location) tree(ctx context.Context, task job.Task, objects []bucket.Object, out *job.Outcome) error {
	w, err := restore.New(l.host.Files, task.Restore, task.Point.At, task.Point.Size)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	for _, o := range objects {
		if w.Enough() {
			break
		}
		if err := l.write(ctx, w, o, out); err != nil {
			return err
		}
	}
	out.Duration, out.RestoredBytes = w.Duration, w.Bytes
	out.Note("%s", w.Told())
	if task.Restore.Source != "" {
		out.Note("%d files were compared with the source", w.Compared)
	}
	if err := l.holds(task.Point); err != nil {
		return err
	}
	if err := w.Assertions(); err != nil {
		return err
	}
	out.Reached = append(append(out.Reached, job.Structure), task.Proves(false)...)
	if task.Loads() {
		return probes.Because(probes.Unsupported, errors.New("no engine loads what was restored"))
	}
	return nil
}

func (l *location) write(ctx context.Context, w *restore.Writer, o bucket.Object, out *job.Outcome) error {
	r, err := l.bucket.Open(ctx, o)
	if err != nil {
		return l.gone(err, o)
	}
	defer r.Close()
	at := o.Modified
	if !r.Source.IsZero() {
		at = r.Source
	}
	if err := w.File(ctx, restore.Entry{Name: l.relative(o.Key), Modified: at, Size: o.Size}, r); err != nil {
		return err
	}
	out.Bytes += o.Size
	return l.compare(r, o, out)
}
