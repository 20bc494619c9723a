package restore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A Listing is what a tool says that a backup holds.
type Listing struct{ Files, Links, Bytes int64 }

// maxLine bounds a line of a list: a path and little more.
const maxLine = 1 << 20

// ParseListing reads the list of a backup as it comes: a JSON document on each
// line, with the type and the size of an entry. file is the type of a file, links
// are those of links; what has another type does not count, nor does a line that
// is no document.
func ParseListing(r io.Reader, file string, links ...string) (Listing, error) {
	var l Listing
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if !bytes.HasPrefix(lines.Bytes(), []byte("{")) {
			continue
		}
		var entry struct {
			Type string `json:"type"`
			Size int64  `json:"size"`
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			return l, probes.Because(probes.Malformed, fmt.Errorf("this is no line of a list: %w", err))
		}
		switch {
		case entry.Type == file:
			l.Files++
			l.Bytes += max(entry.Size, 0)
		case slices.Contains(links, entry.Type):
			l.Links++
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return l, probes.Because(probes.Malformed, fmt.Errorf("this is no line of a list: %w", err))
	}
	return l, lines.Err()
}

// An Export is how a tool hands out a backup: as a tar archive, so that the tool
// itself writes nothing to the disk, and no member can ask for a place outside of
// the scratch directory.
type Export struct {
	Backup string // what it is called, for people
	Want   Listing
	// Print writes the archive; its error is that of the tool.
	Print func(ctx context.Context, to io.Writer) error
}

// Restore restores a backup in the scratch directory of a task, compares it with
// its list and with the source, and demands what must hold of it.
func (e Export) Restore(ctx context.Context, files Files, task job.Task, out *job.Outcome) error {
	w, err := New(files, task.Restore, task.Point.At, job.Of(e.Want.Bytes))
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	err = job.Stream(
		func(to io.Writer) error { return e.Print(ctx, to) },
		func(in io.Reader) error {
			if err := w.Tar(ctx, in); err != nil || !w.Enough() {
				return err
			}
			return job.ErrEnough
		})
	if err != nil {
		return err
	}
	out.Duration, out.RestoredBytes, out.Bytes = w.Duration, w.Bytes, w.Bytes
	out.Size, out.Files = job.Of(e.Want.Bytes), job.Of(e.Want.Files)
	out.Note("%s", w.Told())
	if task.Restore.Source != "" {
		out.Note("%d files were compared with the source", w.Compared)
	}
	switch want := e.Want.Files + e.Want.Links; {
	case e.Want.Files == 0:
		return job.Flawed(job.Empty, "%s holds no file", e.Backup)
	case !w.Enough() && w.Count != want:
		return job.Flawed(job.Incomplete, "%d files were restored of %d in %s", w.Count, want, e.Backup)
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
