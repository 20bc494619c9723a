package restic

import (
	"context"
	"io"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// stream lets restic print what may be much, with the lowest priority.
func (r *repository) stream(ctx context.Context, to io.Writer, entry string, objects ...string) error {
	out, err := r.run(ctx, to, entry, objects...)
	if err != nil {
		return err
	}
	return failed(out)
}

// list counts what a snapshot holds.
func (r *repository) list(ctx context.Context, id string) (l restore.Listing, err error) {
	err = job.Stream(
		func(to io.Writer) error { return r.stream(ctx, to, "restic-ls", id) },
		func(in io.Reader) (err error) {
			l, err = restore.ParseListing(in, "file", "symlink")
			return err
		})
	return l, err
}

// pipe asks restic for what takes long, with the lowest priority.
func (r *repository) pipe(ctx context.Context, entry string, objects ...string) (probes.Output, error) {
	printed := &head{}
	out, err := r.run(ctx, printed, entry, objects...)
	out.Stdout = printed.kept
	return out, err
}

// head keeps the beginning of what is written.
type head struct{ kept []byte }

func (h *head) Write(b []byte) (int, error) {
	const limit = 64 << 10
	h.kept = append(h.kept, b[:min(len(b), limit-len(h.kept))]...)
	return len(b), nil
}

// restore restores a snapshot. restic itself writes nothing: it hands out an
// archive.
func (r *repository) restore(ctx context.Context, task job.Task, out *job.Outcome) error {
	want, err := r.list(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	out.Judged(r.judge(ctx))
	snapshot := restore.Export{
		Backup: "the snapshot " + task.Point.ID, Want: want,
		Print: func(ctx context.Context, to io.Writer) error { return r.stream(ctx, to, "restic-dump", task.Point.ID) },
	}
	return snapshot.Restore(ctx, r.host.Files, task, out)
}
