package restic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// A listing is what restic says that a snapshot holds.
type listing struct{ files, links, bytes int64 }

// listed reads the list of a snapshot, one document a line, as it comes.
type listed struct {
	listing
	rest []byte
	err  error
}

// maxLine bounds a line of the list: a path and little more.
const maxLine = 1 << 20

// Write takes a part of the list.
func (l *listed) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, after, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			break
		}
		l.line(line)
		l.rest = after
	}
	if len(l.rest) > maxLine {
		l.rest, l.err = nil, probes.Because(probes.Malformed, errors.New("restic printed a line without an end"))
	}
	l.rest = bytes.Clone(l.rest)
	return len(b), nil
}

func (l *listed) line(line []byte) {
	var node struct {
		Type string `json:"type"`
		Size int64  `json:"size"`
	}
	if len(line) == 0 || line[0] != '{' {
		return
	}
	if err := json.Unmarshal(line, &node); err != nil {
		l.err = probes.Because(probes.Malformed, fmt.Errorf("restic printed no list: %w", err))
		return
	}
	switch node.Type {
	case "file":
		l.files++
		l.bytes += max(node.Size, 0)
	case "symlink":
		l.links++
	}
}

// list counts what a snapshot holds.
func (r *repository) list(ctx context.Context, id string) (listing, error) {
	l := &listed{}
	out, err := r.host.Pipes.Pipe(ctx, nil, l, "restic-ls", r.options.Repository, r.options.PasswordFile, id)
	if err == nil {
		err = failed(out)
	}
	if err == nil {
		err = l.err
	}
	return l.listing, err
}

// pipe asks restic for what takes long, with the lowest priority.
func (r *repository) pipe(ctx context.Context, entry string, objects ...string) (probes.Output, error) {
	printed := &head{}
	out, err := r.host.Pipes.Pipe(ctx, nil, printed, entry, append([]string{r.options.Repository, r.options.PasswordFile}, objects...)...)
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

// restore restores a snapshot and compares it with the list of the snapshot, and
// with the source. restic itself writes nothing: it hands out an archive, which
// may name no place outside of the scratch directory.
func (r *repository) restore(ctx context.Context, task job.Task, out *job.Outcome) error {
	want, err := r.list(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	w, err := restore.New(r.host.Files, task.Restore, task.Point.At, job.Of(want.bytes))
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	if err := r.dump(ctx, task.Point.ID, w); err != nil {
		return err
	}
	out.Judged(r.judge(ctx))
	out.Duration, out.RestoredBytes, out.Bytes = w.Duration, w.Bytes, w.Bytes
	out.Size, out.Files = job.Of(want.bytes), job.Of(want.files)
	out.Note("%d files with %d bytes were restored", w.Count, w.Bytes)
	if task.Restore.Source != "" {
		out.Note("%d files were compared with the source", w.Compared)
	}
	switch {
	case want.files == 0:
		return job.Flawed(job.Empty, "the snapshot %s holds no file", task.Point.ID)
	case !w.Enough() && w.Count != want.files+want.links:
		return job.Flawed(job.Incomplete, "%d files were restored of %d in the snapshot", w.Count, want.files+want.links)
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

var errEnough = errors.New("enough was restored")

// dump lets restic hand out a snapshot, and restores it.
func (r *repository) dump(ctx context.Context, id string, w *restore.Writer) error {
	in, to := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		out, err := r.host.Pipes.Pipe(ctx, nil, to, "restic-dump", r.options.Repository, r.options.PasswordFile, id)
		if err == nil {
			err = failed(out)
		}
		to.CloseWithError(err) // which is EOF when it is nil
		ended <- err
	}()
	err := w.Tar(ctx, in)
	if err == nil && !w.Enough() {
		_, err = io.Copy(io.Discard, in) // the padding
	}
	in.CloseWithError(errEnough)
	if failed := <-ended; failed != nil && !w.Enough() && !errors.Is(failed, errEnough) {
		return failed // that the archive breaks off is only its consequence
	}
	return err
}
