package velero

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes/backup/job"
)

// known is the document of a backup, with what it was read of.
type known struct {
	stamp   string
	backup  backup
	err     error
	matched string // the stamp of the archive, if it holds what its list says
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
	points, locked := sight.Points, newest(sight)
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
	dropFailed(&sight, seen)
	sight.Units = b.units(sight)
	if newest(sight) != locked {
		sight.Immutable = time.Time{} // that was of another
	}
	sight.Tools = []job.Tool{{Name: "velero-backup.json"}}
	return sight, cmp.Or(err, broken)
}

// dropFailed leaves out what has failed, unless it is the newest: then that is the
// verdict, and what came before is what can be restored.
func dropFailed(sight *job.Sight, seen map[string]known) {
	var good []job.Point
	var failed []string
	for i, p := range sight.Points {
		if err := seen[p.ID].backup.failed(); err != nil && i > 0 {
			failed = append(failed, fmt.Sprintf("%s does not count: %v", path.Base(p.ID), err))
			continue
		}
		good = append(good, p)
	}
	sight.Points, sight.Notes = good, append(sight.Notes, few(failed, "do not count")...)
}

// few returns the first of many notes, and how many more there are.
func few(notes []string, more string) []string {
	const most = 3
	if len(notes) <= most {
		return notes
	}
	return append(notes[:most:most], fmt.Sprintf("and %d more %s", len(notes)-most, more))
}

// newest names the newest backup.
func newest(sight job.Sight) string {
	if len(sight.Points) == 0 {
		return ""
	}
	return sight.Points[0].ID
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
	case missing(err):
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
		// What Velero writes and deletes is all there within a moment, or it has failed.
		sight.Notes = append(sight.Notes, fmt.Sprintf("%s has no %s: it could not be written, or not be deleted", name, metadata))
		return nil
	case have.backup.name != name:
		return job.Flawed(job.Mismatch, "%s of %s describes %.80q: Velero does not find it", metadata, name, have.backup.name)
	case !b.counts(have.backup, name):
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
	p.Files = have.backup.items
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
