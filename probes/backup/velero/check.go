package velero

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Check does a task: first by what Velero says, then by reading what it wrote.
func (b *backups) Check(ctx context.Context, task job.Task) job.Outcome {
	if task.Point.ID == "" {
		return b.storage.Check(ctx, task) // units alone
	}
	b.mu.Lock()
	have, there := b.known[task.Point.ID]
	b.mu.Unlock()
	var said job.Outcome
	if !there {
		return job.Outcome{Err: gone(task.Point)}
	}
	if err := b.said(ctx, task.Point, have.backup, &said); err != nil {
		said.Err = err
		return said
	}
	out := b.storage.Check(ctx, task)
	if out.Err == nil {
		out.Err = b.holds(ctx, task, out)
	}
	if out.Err != nil {
		out.Reached = nil
	}
	out.Size, out.Files = job.Count{}, job.Count{} // Look counts objects of the cluster, not files
	out.Judged(job.Tool{Name: metadata})
	out.Notes = slices.DeleteFunc(out.Notes, func(note string) bool { return strings.HasPrefix(note, metadata+": ") }) // its form is known here
	out.Noted(said.Notes...)
	return out
}

func gone(p job.Point) error {
	return probes.Because(probes.NotFound, fmt.Errorf("%s is gone since it was listed", path.Base(p.ID)))
}

// said is the verdict by what Velero wrote about a backup.
func (b *backups) said(ctx context.Context, p job.Point, have backup, out *job.Outcome) error {
	if err := have.failed(); err != nil {
		return fmt.Errorf("%s: %w%s", path.Base(p.ID), err, b.because(ctx, p, have))
	}
	if have.warnings > 0 {
		out.Note("Velero told of %d warnings", have.warnings)
	}
	if err := b.whole(ctx, p); err != nil {
		return err
	}
	b.skipped(ctx, p, out)
	var volumes podVolumes
	if _, err := b.packed(ctx, p, "-podvolumebackups.json.gz", &volumes); err != nil {
		return err
	}
	return volumes.failed()
}

// because tells why a backup has failed, as well as that is known.
func (b *backups) because(ctx context.Context, p job.Point, have backup) string {
	reason := have.reason
	if reason == "" {
		var r results
		if _, err := b.packed(ctx, p, "-results.gz", &r); err == nil {
			reason = r.first()
		}
	}
	if reason == "" {
		return ""
	}
	reason = fmt.Sprintf(": %.250s", reason)
	if have.errors > 1 {
		reason += fmt.Sprintf(", and %d more errors", have.errors-1)
	}
	return reason
}

// whole demands what every version of Velero writes, and needs to restore a backup
// and its volumes: without the lists of volumes it restores none, and is content.
func (b *backups) whole(ctx context.Context, p job.Point) error {
	if !slices.Contains(p.Units, path.Join(p.ID, metadata)) {
		return nil // its files are not known one by one
	}
	name := path.Base(p.ID)
	for _, part := range []string{".tar.gz", "-volumesnapshots.json.gz", "-podvolumebackups.json.gz"} {
		if slices.Contains(p.Units, path.Join(p.ID, name+part)) {
			continue
		}
		if _, err := b.storage.document(ctx, p.ID, metadata); missing(err) {
			return gone(p) // Velero deletes file after file
		}
		return job.Flawed(job.Incomplete, "%s lacks %s", name, name+part)
	}
	return nil
}

// skipped notes the volumes that Velero was content to leave out.
func (b *backups) skipped(ctx context.Context, p job.Point, out *job.Outcome) {
	var volumes volumeInfo
	if _, err := b.packed(ctx, p, "-volumeinfo.json.gz", &volumes); err != nil {
		return // reading it tells
	}
	var notes []string
	for _, v := range volumes {
		if v.Skipped {
			notes = append(notes, fmt.Sprintf("the volume %.80s of %.160s is not in it: %.200s", v.Volume, v.Namespace+"/"+v.Claim, strings.TrimRight(v.Reason, "; ")))
		}
	}
	out.Noted(few(notes, "volumes are not in it")...)
}

// packed reads a packed document of a backup, if it is there.
func (b *backups) packed(ctx context.Context, p job.Point, part string, into any) (there bool, err error) {
	name := path.Base(p.ID) + part
	text, err := b.storage.document(ctx, p.ID, name)
	switch {
	case missing(err):
		return false, nil
	case err != nil:
		return false, err
	}
	if err := unpack(text, into); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || probes.ReasonOf(err) == probes.NotFound
}
