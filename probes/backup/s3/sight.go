package s3

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/job"
)

// abandoned is after which time an upload is one whose program has died.
const abandoned = 24 * time.Hour

// uploads returns the uploads that are not complete, by the backup that they
// belong to, and notes them.
func (l *location) uploads(ctx context.Context, sight *job.Sight) map[string]bucket.Upload {
	list, err := l.bucket.Uploads(ctx)
	if err != nil {
		sight.Notes = append(sight.Notes, "uploads that are not complete cannot be seen: "+err.Error())
		return nil
	}
	bySet := map[string]bucket.Upload{}
	for _, u := range list {
		if !l.counts(bucket.Object{Key: u.Key, Size: 1}) {
			continue
		}
		bySet[l.setOf(u.Key)] = u
		if age := l.now().Sub(u.Started); age > abandoned {
			sight.Notes = append(sight.Notes, fmt.Sprintf("the upload of %.80q was begun at %s and never completed; its parts cost space", u.Key, u.Started.UTC().Format(time.RFC3339)))
		}
	}
	const few = 5
	if more := len(sight.Notes) - few; more > 0 {
		sight.Notes = append(sight.Notes[:few], fmt.Sprintf("and %d more of that kind", more))
	}
	return bySet
}

// fill puts objects together to backups.
func (l *location) fill(sight *job.Sight, s *summary, uploads map[string]bucket.Upload) {
	sight.Units = s.units
	if l.single() {
		for _, o := range s.loose {
			sight.Points = append(sight.Points, job.Point{ID: o.Key, At: o.Modified, Size: job.Of(o.Size), Files: job.Of(1), Units: []string{o.Key}})
		}
		if len(s.loose) == 0 && len(s.groups) > 0 {
			sight.Notes = append(sight.Notes, fmt.Sprintf("more than %d objects of one day: set must say which of them are one backup", maxLoose))
		}
		return
	}
	members := l.members(s)
	unfinished := map[string]bool{}
	for id, known := range s.sets {
		_, uploading := uploads[id]
		changed := l.now().Sub(known.newest)
		if changed >= 0 && changed < l.settle || uploading && changed < abandoned {
			sight.Notes = append(sight.Notes, fmt.Sprintf("%.80q has changed a moment ago, and is taken for unfinished", id))
			unfinished[id] = true
			continue
		}
		p := job.Point{ID: id, At: known.oldest, Size: job.Of(known.bytes), Files: job.Of(known.count), Units: members[id]}
		if l.options.Set == all {
			p.At = known.newest
		}
		sight.Points = append(sight.Points, p)
	}
	slices.SortFunc(sight.Points, func(a, b job.Point) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
	sight.Units = slices.DeleteFunc(slices.Clone(s.units), func(u job.Unit) bool { return unfinished[l.owner(s, u.ID)] })
}

// owner returns the backup that a unit belongs to.
func (l *location) owner(s *summary, unit string) string {
	if g := s.groups[unit]; g != nil {
		return g.set
	}
	return l.setOf(unit)
}

// members returns the units of each backup.
func (l *location) members(s *summary) map[string][]string {
	list := map[string][]string{}
	for _, u := range s.units {
		id := l.owner(s, u.ID)
		list[id] = append(list[id], u.ID)
	}
	for _, units := range list {
		slices.Sort(units)
	}
	return list
}

// asked is of how many objects of a backup the lock is asked for.
const asked = 50

// relock is how long the answer about locks serves.
const relock = time.Hour

// A protection is what keeps the newest backup from being deleted.
type protection struct {
	of    string // the backup and its version
	at    time.Time
	until time.Time
	note  string
}

// locks notes until when nobody can delete the newest backup.
func (l *location) locks(ctx context.Context, sight *job.Sight, s *summary) {
	newest := sight.Points[0]
	of := newest.ID + "\x00" + newest.At.String()
	l.mu.Lock()
	known := l.locked
	l.mu.Unlock()
	if age := l.now().Sub(known.at); known.of != of || age < 0 || age > relock {
		known = l.protection(ctx, s, newest)
		known.of, known.at = of, l.now()
		l.mu.Lock()
		l.locked = known
		l.mu.Unlock()
	}
	sight.Immutable = known.until
	if known.note != "" {
		sight.Notes = append(sight.Notes, known.note)
	}
}

// protection asks for the locks of a backup: what of it can be deleted first
// decides.
func (l *location) protection(ctx context.Context, s *summary, p job.Point) (found protection) {
	for i, id := range p.Units[:min(len(p.Units), asked)] {
		o := s.byKey[id]
		lock, err := l.bucket.Locked(ctx, o)
		switch {
		case err != nil:
			return protection{note: "whether the newest backup can be deleted is not known: " + err.Error()}
		case lock.Until.IsZero():
			return protection{until: o.Modified} // it could be from the beginning
		case lock.Bypassed:
			return protection{until: o.Modified, note: fmt.Sprintf("the newest backup is kept until %s by a lock of the mode GOVERNANCE, which some may end: that does not count as immutable", lock.Until.UTC().Format(time.RFC3339))}
		}
		if i == 0 || lock.Until.Before(found.until) {
			found.until = lock.Until
		}
	}
	return found
}
