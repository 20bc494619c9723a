package pgbackrest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/backup/cluster"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/wal"
)

// A segment is one file of the archive of the log.
type segment struct {
	place    string // in the repository
	name     string // as PostgreSQL calls it
	sum      string // of what it holds, which is part of its name
	size     int64  // as it lies there
	modified time.Time
}

var segmentName = regexp.MustCompile(`^([0-9A-F]{24})-([0-9a-f]{40})(\.[a-z0-9]+)?$`)

// logs are the archives of the databases of a stanza.
type logs struct {
	archives map[int]*wal.Archive
	twice    map[int][]string // segments of which there are different ones
	batches  map[string][]segment
}

// batchOf names the unit of which a segment is: sixteen make one.
func batchOf(archive, name string) string {
	return fmt.Sprintf("log %s/%s", archive, name[:wal.NameLength-1])
}

// settle is how long a segment may be missing while later ones are there already.
const settle = 10 * time.Minute

// logs lists the archives of the databases that backups are of.
func (r *repository) logs(ctx context.Context, v *view, of []backup) (*logs, error) {
	l := &logs{archives: map[int]*wal.Archive{}, twice: map[int][]string{}, batches: map[string][]segment{}}
	for _, b := range of {
		d, known := v.archives.history[b.Database]
		if !known || b.Stop == "" || l.archives[d.id] != nil {
			continue
		}
		size := int64(wal.DefaultSize)
		if at, err := wal.ParseLSN(b.LSN); err == nil {
			// The place is that of the first byte behind the backup.
			if fits, err := wal.SizeOf(max(at, 1)-1, b.Stop); err == nil {
				size = fits
			}
		}
		l.archives[d.id] = wal.NewArchive(size)
		if err := r.log(ctx, v, l, d); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (r *repository) log(ctx context.Context, v *view, l *logs, d database) error {
	archive, seen := l.archives[d.id], map[string]bool{}
	var histories []string
	dir := path.Join("archive", r.options.Stanza, d.archive())
	err := v.store.list(ctx, dir, func(name string, f stored) {
		base := path.Base(name)
		if wal.IsHistory(base) {
			histories = append(histories, name)
		}
		parts := segmentName.FindStringSubmatch(base)
		if parts == nil || !archive.Add(parts[1], f.modified) {
			return
		}
		if seen[parts[1]] {
			l.twice[d.id] = append(l.twice[d.id], parts[1])
		}
		seen[parts[1]] = true
		unit := batchOf(d.archive(), parts[1])
		l.batches[unit] = append(l.batches[unit], segment{path.Join(dir, name), parts[1], parts[2], f.size, f.modified})
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range histories {
		err := v.store.plain(ctx, path.Join(dir, name), v.archives.pass, func(in io.Reader) error {
			text, err := io.ReadAll(io.LimitReader(in, 1<<20))
			if err != nil {
				return err
			}
			return archive.History(path.Base(name), text)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return job.Flawed(job.Damaged, "%s cannot be read: %v", name, err)
		}
	}
	return nil
}

// units lists the units of the log, the newest first.
func (l *logs) units() []job.Unit {
	return cluster.Batches(l.batches, func(s segment) (int64, time.Time) { return s.size, s.modified })
}

// share is how much of a backup one unit holds.
const share = 4 << 30

// sharesOf is how many units the files of a backup make.
func sharesOf(b backup) int64 { return max((b.RepoDelta+share-1)/share, 1) }

func shareName(of string, i int64) string { return fmt.Sprintf("%s %d", of, i) }

// shares lists the units of the files that a backup itself has added.
func shares(b backup) []job.Unit {
	var units []job.Unit
	n := sharesOf(b)
	for i := range n {
		units = append(units, job.Unit{ID: shareName(b.Label, i), Bytes: max(b.RepoDelta/n, 1), Stamp: fmt.Sprintf("%d of %d", b.Stopped, n)})
	}
	return units
}

// unitsOf lists the units that a backup consists of, with those of its log.
func (v *view) unitsOf(b backup, l *logs) []string {
	var ids []string
	for _, of := range b.needs() {
		if needed, err := v.find(of); err == nil {
			for _, u := range shares(needed) {
				ids = append(ids, u.ID)
			}
		}
	}
	d := v.archives.history[b.Database]
	for id, list := range l.batches {
		prefix := "log " + d.archive() + "/"
		if strings.HasPrefix(id, prefix) && slices.ContainsFunc(list, func(s segment) bool {
			return b.Stop != "" && s.name[:8] == b.Start[:min(8, len(b.Start))] && s.name >= b.Start && s.name <= b.Stop
		}) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// continuity demands the log that a backup needs, and that none is missing
// between it and the newest.
func (r *repository) continuity(ctx context.Context, v *view, b backup, out *job.Outcome) error {
	if b.Stop == "" {
		out.Note("the backup was taken of a stopped cluster, and needs no log")
		return nil
	}
	l, err := r.logs(ctx, v, []backup{b})
	if err != nil {
		return err
	}
	archive := l.archives[b.Database]
	if archive == nil {
		return job.Flawed(job.Mismatch, "the backup is of the database %d, of which there is no log", b.Database)
	}
	if err := archive.Between(b.Start, b.Stop); err != nil {
		return err
	}
	for _, name := range l.twice[b.Database] {
		if name >= b.Start {
			return job.Flawed(job.Mismatch, "there are two different segments %s, so that a restore stops at it", name)
		}
	}
	reached, err := archive.After(b.Stop, time.Now().Add(-settle))
	if !reached.IsZero() {
		out.Note("the log reaches until %s", reached.UTC().Format(time.RFC3339))
	}
	return err
}
