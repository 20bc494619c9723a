package borg

import (
	"context"
	"io"

	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// stream lets borg print what may be much, with the lowest priority.
func (r *repository) stream(ctx context.Context, to io.Writer, entry, id string) error {
	out, err := r.host.Pipes.Pipe(ctx, nil, to, entry, r.options.Repository, r.options.PasswordFile, id)
	if err != nil {
		return err
	}
	return failed(out)
}

// listing counts what an archive holds, in files and in links.
func (r *repository) listing(ctx context.Context, id string) (l restore.Listing, err error) {
	err = job.Stream(
		func(to io.Writer) error { return r.stream(ctx, to, "borg-list-archive", id) },
		func(in io.Reader) (err error) {
			l, err = restore.ParseListing(in, "-", "l", "h")
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
	out.Size, out.Files = job.Of(l.Bytes), job.Of(l.Files)
	if l.Files == 0 {
		return job.Flawed(job.Empty, "the archive %s holds no file", task.Point.ID)
	}
	return nil
}

// restore restores an archive. borg itself writes nothing: it hands out another
// archive.
func (r *repository) restore(ctx context.Context, task job.Task, out *job.Outcome) error {
	want, err := r.listing(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	archive := restore.Export{
		Backup: "the archive " + task.Point.ID, Want: want,
		Print: func(ctx context.Context, to io.Writer) error { return r.stream(ctx, to, "borg-export", task.Point.ID) },
	}
	return archive.Restore(ctx, r.host.Files, task, out)
}
