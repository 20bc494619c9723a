package duplicity

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
	"hygiene_exporter/probes/internal/scratch"
)

// call lets duplicity work on a set, with a directory of its own.
func (t *target) call(ctx context.Context, to io.Writer, entry, dir, id string) error {
	environment, _, err := t.environment()
	if err != nil {
		return err
	}
	objects := []string{t.place, dir, id, environment}
	if t.options.PasswordFile == "" {
		entry += "-plain"
	} else {
		objects = append(objects, t.options.PasswordFile)
	}
	printed := &head{}
	if to == nil {
		to = printed
	} else {
		to = io.MultiWriter(to, printed)
	}
	out, err := t.host.Pipes.Pipe(ctx, nil, to, "duplicity-"+entry, objects...)
	out.Stdout = printed.kept
	return explain(out, err)
}

// head keeps the beginning of what is written.
type head struct{ kept []byte }

func (h *head) Write(b []byte) (int, error) {
	const limit = 64 << 10
	h.kept = append(h.kept, b[:min(len(b), limit-len(h.kept))]...)
	return len(b), nil
}

// readSet lets duplicity restore a set behind a server, which compares all of it,
// and throws away what comes out.
func (t *target) readSet(ctx context.Context, id string, out *job.Outcome) (int64, error) {
	dir, err := scratch.Make(t.host.Scratch)
	if err != nil {
		return 0, fmt.Errorf("there is no scratch directory: %w", err)
	}
	defer func() { _ = scratch.Remove(dir) }()
	tool, err := t.judge(ctx)
	if err == nil {
		out.Judged(tool)
		err = t.call(ctx, nil, "restore", dir, id)
	}
	return 1, err
}

// restore lets duplicity restore a set, and takes over what came out as if it were
// an archive: only duplicity can put a chain together, and it writes to the disk
// itself. Its directory is one that nobody else can enter, and is removed.
func (t *target) restore(ctx context.Context, all sets, task job.Task, out *job.Outcome) error {
	if err := t.structure(ctx, all, task.Point.ID, out); err != nil {
		return err
	}
	tool, err := t.judge(ctx)
	if err != nil {
		return err
	}
	out.Judged(tool)
	if err := t.fits(all, task); err != nil {
		return err
	}
	dir, err := scratch.Make(task.Restore.Scratch)
	if err != nil {
		return err
	}
	defer func() { _ = scratch.Remove(dir) }()
	var listed counter
	if err := t.call(ctx, &listed, "list", dir, task.Point.ID); err != nil {
		return err
	}
	start := time.Now()
	if err := t.call(ctx, nil, "restore", dir, task.Point.ID); err != nil {
		return err
	}
	took := time.Since(start)
	top := filepath.Join(dir, "restored")
	want, entries, err := walk(top)
	if err != nil {
		return err
	}
	if entries < listed.entries {
		return job.Flawed(job.Incomplete, "%d entries were restored of %d in the set", entries, listed.entries)
	}
	export := restore.Export{
		Backup: "the set of " + task.Point.ID, Want: want,
		Print: func(ctx context.Context, to io.Writer) error { return archive(ctx, top, to) },
	}
	err = export.Restore(ctx, t.host.Files, task, out)
	out.Duration = took
	return err
}

// fits demands room for what is restored and its copy, as far as the volumes tell
// how much that will be.
func (t *target) fits(all sets, task job.Task) error {
	var need int64
	if s := all.find(task.Point.ID); s != nil {
		for _, one := range all.chain(s) {
			for _, v := range one.volumes {
				need += 2 * v.bytes
			}
		}
	}
	free, err := scratch.Free(task.Restore.Scratch)
	if err == nil && need > free {
		err = probes.Because(probes.TooLarge, fmt.Errorf("the backup does not fit: it needs more than %d bytes of the scratch directory, and %d are free", need, free))
	}
	return err
}

// A counter counts the entries that duplicity lists, one a line.
type counter struct {
	entries int64
	rest    []byte
}

func (c *counter) Write(b []byte) (int, error) {
	c.rest = append(c.rest, b...)
	for {
		line, after, found := bytes.Cut(c.rest, []byte("\n"))
		if !found {
			break
		}
		if dated(string(line)) {
			c.entries++
		}
		c.rest = after
	}
	c.rest = bytes.Clone(c.rest[:min(len(c.rest), maxLine)])
	return len(b), nil
}

// dated reports whether a line begins with an instant, as those of entries do; the
// log repeats it with a dot before.
func dated(line string) bool {
	fields := strings.Fields(line)
	if len(fields) < 6 || strings.HasPrefix(line, ".") {
		return false
	}
	_, err := time.Parse("Mon Jan 2 15:04:05 2006", strings.Join(fields[:5], " "))
	return err == nil
}

// walk counts what was restored.
func walk(top string) (restore.Listing, int64, error) {
	var l restore.Listing
	var entries int64
	err := filepath.WalkDir(top, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		entries++
		switch info, err := entry.Info(); {
		case err != nil:
			return err
		case info.Mode().IsRegular():
			l.Files++
			l.Bytes += info.Size()
		case info.Mode()&fs.ModeSymlink != 0:
			l.Links++
		}
		return nil
	})
	return l, entries, err
}

// archive writes the files and links of a directory as an archive. No link is
// followed.
func archive(ctx context.Context, top string, to io.Writer) error {
	w := tar.NewWriter(to)
	root, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		target := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if target, err = root.Readlink(name); err != nil {
				return err
			}
		case !info.Mode().IsRegular():
			return nil
		}
		header, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		header.Name, header.Format = name, tar.FormatPAX
		if err := w.WriteHeader(header); err != nil || target != "" {
			return err
		}
		file, err := root.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(w, job.Interruptible(ctx, file))
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
