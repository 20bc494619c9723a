package borg

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// A listing is what borg says that an archive holds.
type listing struct{ files, links, bytes int64 }

// parseListing reads the list of an archive, one document a line, as it comes.
func parseListing(in io.Reader) (listing, error) {
	var l listing
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var item struct {
			Type string `json:"type"`
			Size int64  `json:"size"`
		}
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			return l, probes.Because(probes.Malformed, fmt.Errorf("borg printed no list: %w", err))
		}
		switch item.Type {
		case "-":
			l.files++
			l.bytes += max(item.Size, 0)
		case "l", "h":
			l.links++
		}
	}
	return l, lines.Err()
}

// pipe lets borg print into a reader.
func (r *repository) pipe(ctx context.Context, entry, id string, read func(io.Reader) error) error {
	in, to := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		out, err := r.host.Pipes.Pipe(ctx, nil, to, entry, r.options.Repository, r.options.PasswordFile, id)
		if err == nil {
			err = failed(out)
		}
		to.CloseWithError(err) // which is EOF when it is nil
		ended <- err
	}()
	err := read(in)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	in.CloseWithError(errEnough)
	if failed := <-ended; failed != nil && !errors.Is(failed, errEnough) && !errors.Is(err, errEnough) {
		return failed // that the output breaks off is only its consequence
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

var errEnough = errors.New("enough was restored")

func (r *repository) listing(ctx context.Context, id string) (l listing, err error) {
	err = r.pipe(ctx, "borg-list-archive", id, func(in io.Reader) (err error) {
		l, err = parseListing(in)
		return err
	})
	return l, err
}

// structure reads what describes the newest archive, and demands that it holds
// something.
func (r *repository) structure(ctx context.Context, task job.Task, out *job.Outcome) error {
	l, err := r.listing(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	out.Size, out.Files = job.Of(l.bytes), job.Of(l.files)
	if l.files == 0 {
		return job.Flawed(job.Empty, "the archive %s holds no file", task.Point.ID)
	}
	return nil
}

// restore restores an archive and compares it with its list, and with the
// source. borg itself writes nothing: it hands out an archive, which may name no
// place outside of the scratch directory.
func (r *repository) restore(ctx context.Context, task job.Task, out *job.Outcome) error {
	if err := r.structure(ctx, task, out); err != nil {
		return err
	}
	want, err := r.listing(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	w, err := restore.New(r.host.Files, task.Restore, task.Point.At, job.Of(want.bytes))
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	err = r.pipe(ctx, "borg-export", task.Point.ID, func(in io.Reader) error {
		if err := w.Tar(ctx, in); err != nil {
			return err
		}
		if w.Enough() {
			return errEnough
		}
		return nil
	})
	if err != nil {
		return err
	}
	out.Duration, out.RestoredBytes, out.Bytes = w.Duration, w.Bytes, w.Bytes
	out.Note("%d files with %d bytes were restored", w.Count, w.Bytes)
	if task.Restore.Source != "" {
		out.Note("%d files were compared with the source", w.Compared)
	}
	if !w.Enough() && w.Count != want.files+want.links {
		return job.Flawed(job.Incomplete, "%d files were restored of %d in the archive", w.Count, want.files+want.links)
	}
	if err := w.Assertions(); err != nil {
		return err
	}
	out.Reached = append(out.Reached, job.Structure, job.Restored)
	if !task.Restore.Assert.None() {
		out.Reached = append(out.Reached, job.Asserted)
	}
	return nil
}
