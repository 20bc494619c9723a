// Package velero is the kind of backup that Velero makes of a Kubernetes cluster:
// for each backup a directory in a bucket, or in a file system, with a document
// that says how it ended. What lies there is read as other objects or files are.
package velero

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/s3"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "velero",
		Summary:  "Backups of Kubernetes by Velero, in a bucket of S3 or a directory.",
		Keys:     append(bucket.Keys(), "dataset", "snapshots", "settle"),
		Depths:   s3.Kind().Depths,
		Commands: files.Kind().Commands,
		Check:    validate,
		Open:     open,
	}
}

func validate(o job.Options) error {
	var errs []error
	at := func(key, format string, args ...any) {
		errs = append(errs, probes.At(key, fmt.Errorf(format, args...)))
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		at("snapshots", "%.80q is not a valid pattern", o.Snapshots)
	}
	switch {
	case (o.Repository == "") == (o.Dataset == ""):
		at("repository", "either a bucket or, as dataset, a directory must be named")
	case o.Dataset != "" && !filepath.IsAbs(o.Dataset):
		at("dataset", "%.80q is not an absolute path", o.Dataset)
	case o.Repository != "" && o.ConfigFile == "":
		at("config_file", "is missing")
	}
	return errors.Join(append(errs, bucket.Validate(o))...)
}

// A storage is where the directories of backups lie.
type storage interface {
	job.Copy
	// document returns a small file of a backup.
	document(ctx context.Context, id, name string) ([]byte, error)
}

// maxDocument bounds it.
const maxDocument = 64 << 20

// local is a directory.
type local struct {
	job.Copy
	host probes.Host
}

func (l local) document(_ context.Context, id, name string) ([]byte, error) {
	return l.host.Files.ReadFile(path.Join(id, name), maxDocument)
}

// remote is a bucket.
type remote struct {
	job.Copy
	bucket *bucket.Bucket
}

func (r remote) document(ctx context.Context, id, name string) ([]byte, error) {
	return r.bucket.ReadFile(ctx, path.Join(id, name), maxDocument)
}

func open(host probes.Host, o job.Options) job.Copy {
	b := &backups{options: o, known: map[string]known{}}
	if o.Dataset != "" {
		pattern := path.Join(o.Dataset, "backups", "*", "*")
		b.storage = local{files.Kind().Open(host, job.Options{Paths: []string{pattern}, Set: "directory", Settle: o.Settle}), host}
		return b
	}
	o.Repository = strings.TrimSuffix(o.Repository, "/") + "/backups/"
	o.Set, o.Snapshots = "directory", ""
	b.storage = remote{s3.Kind().Open(host, o), bucket.New(host, o)}
	return b
}

// backups is one copy. known is shared by Look and Check.
type backups struct {
	storage storage
	options job.Options

	mu    sync.Mutex
	known map[string]known // by directory
}

// known is the document of a backup, with what it was read of.
type known struct {
	stamp  string
	backup backup
	err    error
}

// maxBackups bounds of how many the documents are read.
const maxBackups = 500

// Look lists the backups. A document that has not changed is not read again.
func (b *backups) Look(ctx context.Context) (job.Sight, error) {
	sight, err := b.storage.Look(ctx)
	if err != nil && !job.IsFlaw(err) {
		return sight, err
	}
	stamps := map[string]string{}
	for _, u := range sight.Units {
		stamps[u.ID] = u.Stamp
	}
	points := sight.Points
	if len(points) > maxBackups {
		sight.Notes = append(sight.Notes, fmt.Sprintf("only the newest %d of %d backups are looked at", maxBackups, len(points)))
		points = points[:maxBackups]
	}
	sight.Points = nil
	seen := map[string]known{}
	var broken error
	for _, p := range points {
		have, err := b.describe(ctx, p, stamps[path.Join(p.ID, metadata)])
		if err != nil {
			return job.Sight{}, err
		}
		seen[p.ID] = have
		broken = cmp.Or(broken, b.take(&sight, p, have))
	}
	b.mu.Lock()
	b.known = seen
	b.mu.Unlock()
	slices.SortStableFunc(sight.Points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	sight.Units = b.units(sight)
	sight.Tools = []job.Tool{{Name: "velero-backup.json"}}
	return sight, cmp.Or(err, broken)
}

// metadata is the name of the document with which Velero ends a backup.
const metadata = "velero-backup.json"

// describe reads the document of a backup. A flaw of it is a part of the answer.
func (b *backups) describe(ctx context.Context, p job.Point, stamp string) (known, error) {
	b.mu.Lock()
	have, there := b.known[p.ID]
	b.mu.Unlock()
	if there && have.stamp == stamp && stamp != "" {
		return have, nil
	}
	text, err := b.storage.document(ctx, p.ID, metadata)
	switch {
	case errors.Is(err, fs.ErrNotExist), probes.ReasonOf(err) == probes.NotFound:
		return known{}, nil
	case err != nil:
		return known{}, err
	}
	have = known{stamp: stamp}
	have.backup, have.err = parseBackup(text)
	return have, nil
}

// take adds a backup to the points, if it counts.
func (b *backups) take(sight *job.Sight, p job.Point, have known) error {
	name := path.Base(p.ID)
	switch {
	case have.err != nil:
		return fmt.Errorf("%s of %s: %w", metadata, name, have.err)
	case have.backup.phase == "":
		sight.Notes = append(sight.Notes, fmt.Sprintf("%s has no %s: it is being made, or was given up", name, metadata))
		return nil
	case !b.counts(have.backup, name):
		return nil
	case have.backup.phase == "Deleting":
		return nil
	case !have.backup.ended():
		sight.Notes = append(sight.Notes, fmt.Sprintf("%s is in the phase %s", name, have.backup.phase))
		return nil
	}
	p.At = have.backup.started
	if p.At.IsZero() {
		return job.Flawed(job.Damaged, "%s of %s tells no time", metadata, name)
	}
	if at := have.backup.expires; !at.IsZero() && at.Before(time.Now()) {
		sight.Notes = append(sight.Notes, fmt.Sprintf("%s has expired at %s", name, at.UTC().Format(time.RFC3339)))
	}
	sight.Points = append(sight.Points, p)
	return nil
}

// counts reports whether the pattern matches the schedule or the name.
func (b *backups) counts(have backup, name string) bool {
	if b.options.Snapshots == "" {
		return true
	}
	for _, text := range []string{have.schedule, name} {
		if ok, err := doublestar.Match(b.options.Snapshots, text); err == nil && ok {
			return true
		}
	}
	return false
}

// units returns those of backups that count.
func (b *backups) units(sight job.Sight) []job.Unit {
	needed := map[string]bool{}
	for _, p := range sight.Points {
		for _, id := range p.Units {
			needed[id] = true
		}
	}
	return slices.DeleteFunc(sight.Units, func(u job.Unit) bool { return !needed[u.ID] })
}

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
		return job.Outcome{Err: probes.Because(probes.NotFound, fmt.Errorf("%s is gone since it was listed", path.Base(task.Point.ID)))}
	}
	if err := b.said(ctx, task.Point, have.backup, &said); err != nil {
		said.Err = err
		return said
	}
	out := b.storage.Check(ctx, task)
	out.Judged(job.Tool{Name: "velero-backup.json"})
	for _, note := range said.Notes {
		out.Note("%s", note)
	}
	return out
}

// said is the verdict by what Velero wrote about a backup.
func (b *backups) said(ctx context.Context, p job.Point, have backup, out *job.Outcome) error {
	name := path.Base(p.ID)
	if have.warnings > 0 {
		out.Note("Velero told of %d warnings", have.warnings)
	}
	if have.phase != "Completed" {
		return job.Flawed(job.Reported, "%s ended in the phase %s with %d errors%s", name, have.phase, have.errors, because(have))
	}
	archive := path.Join(p.ID, name+".tar.gz")
	if !slices.Contains(p.Units, archive) && b.loose(p) {
		return job.Flawed(job.Incomplete, "%s lacks its archive", name)
	}
	if have.attempted > have.completed {
		return job.Flawed(job.Reported, "%s has only %d of %d snapshots of volumes", name, have.completed, have.attempted)
	}
	text, err := b.storage.document(ctx, p.ID, name+"-podvolumebackups.json.gz")
	switch {
	case errors.Is(err, fs.ErrNotExist), probes.ReasonOf(err) == probes.NotFound:
		return nil
	case err != nil:
		return err
	}
	return volumes(text)
}

// loose reports whether the files of a backup are known one by one.
func (b *backups) loose(p job.Point) bool {
	return slices.Contains(p.Units, path.Join(p.ID, metadata))
}

func because(have backup) string {
	if have.reason == "" {
		return ""
	}
	return ": " + have.reason
}
