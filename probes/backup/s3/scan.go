package s3

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/job"
)

// The bounds of what is remembered of a bucket.
const (
	maxLoose = 10_000    // objects that are remembered one by one
	maxSets  = 20_000    // backups of several objects
	maxSeen  = 5_000_000 // entries that are listed at all
)

// A scan is one listing of a bucket, which may take several looks.
type scan struct {
	location *location

	after string // the last key that was listed
	seen  int

	loose  map[string][]bucket.Object // by the day of their change
	count  int                        // of them
	cut    string                     // the newest day that is not remembered one by one
	groups map[string]*group
	sets   map[string]*set          // of several objects
	newest time.Time                // of what is not deleted
	marks  map[string]time.Time     // delete markers, by the key of what they hide
	older  map[string]bucket.Object // the newest version that is not the latest, by key
}

// A hiding is an object that a delete marker hides.
type hiding struct {
	object bucket.Object
	by     time.Time
}

// A set is what is known of a backup of several objects.
type set struct {
	oldest, newest time.Time
	count, bytes   int64
}

// A group is the objects of one day and one backup that are read together.
type group struct {
	day, set string
	parts    [fractions]part
}

// fractions is in how many parts a day with very much is cut, by the hash of
// keys.
const fractions = 16

type part struct {
	count, bytes int64
	newest       time.Time
}

func (l *location) begin() *scan {
	return &scan{
		location: l, loose: map[string][]bucket.Object{}, groups: map[string]*group{}, sets: map[string]*set{},
		marks: map[string]time.Time{}, older: map[string]bucket.Object{},
	}
}

// run lists to the end, or as far as the time goes.
func (s *scan) run(ctx context.Context, b *bucket.Bucket, versions bool) error {
	return b.List(ctx, s.after, versions, s.entry)
}

// entry takes over one entry of the list.
func (s *scan) entry(o bucket.Object) error {
	if s.seen++; s.seen > maxSeen {
		return probes.Because(probes.TooLarge, fmt.Errorf("more than %d objects and versions; a longer prefix lists fewer", maxSeen))
	}
	s.after = max(s.after, o.Key)
	switch {
	case o.Deleted && o.Latest:
		s.marks[o.Key] = o.Modified
	case o.Deleted, !s.location.counts(o):
	case o.Latest:
		if o.Modified.After(s.newest) {
			s.newest = o.Modified
		}
		return s.add(o)
	case o.Modified.After(s.older[o.Key].Modified):
		s.older[o.Key] = o
	}
	s.prune(maxLoose)
	return nil
}

// prune drops what is not newer than what is not deleted: that it is gone is in
// the course of things. Servers list markers and versions in an order of their
// own, so that all are kept until then.
func (s *scan) prune(limit int) {
	if len(s.marks) > limit {
		maps.DeleteFunc(s.marks, func(_ string, at time.Time) bool { return !at.After(s.newest) })
	}
	if len(s.older) > limit {
		maps.DeleteFunc(s.older, func(_ string, o bucket.Object) bool { return !o.Modified.After(s.newest) })
	}
	if len(s.marks) > 2*limit || len(s.older) > 2*limit { // everything was deleted; a part of it says so, too
		clear(s.marks)
		clear(s.older)
	}
}

// hides returns the newest object that a delete marker hides and that is newer
// than all that are not hidden.
func (s *scan) hides() (found hiding) {
	for key, o := range s.older {
		by, marked := s.marks[key]
		if marked && o.Modified.After(s.newest) && o.Modified.After(found.object.Modified) {
			found = hiding{object: o, by: by}
		}
	}
	return found
}

func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

func (s *scan) add(o bucket.Object) error {
	if !s.location.single() {
		id := s.location.setOf(o.Key)
		known := s.sets[id]
		if known == nil {
			if len(s.sets) == maxSets {
				return probes.Because(probes.TooLarge, fmt.Errorf("more than %d backups", maxSets))
			}
			known = &set{oldest: o.Modified}
			s.sets[id] = known
		}
		known.count++
		known.bytes += o.Size
		if o.Modified.Before(known.oldest) {
			known.oldest = o.Modified
		}
		if o.Modified.After(known.newest) {
			known.newest = o.Modified
		}
	}
	day := dayOf(o.Modified)
	if day <= s.cut {
		s.fold(day, o)
		return nil
	}
	s.loose[day] = append(s.loose[day], o)
	// A day that is put together here would be at the end, too: what comes can
	// only be more. So it does not depend on the order of keys.
	for s.count++; s.count > maxLoose; {
		oldest := slices.Min(slices.Collect(maps.Keys(s.loose)))
		for _, o := range s.loose[oldest] {
			s.fold(oldest, o)
		}
		s.count -= len(s.loose[oldest])
		delete(s.loose, oldest)
		s.cut = oldest
	}
	return nil
}

func (s *scan) fold(day string, o bucket.Object) {
	g := s.location.groupOf(day, o)
	id := g.name()
	if s.groups[id] == nil {
		s.groups[id] = g
	}
	p := &s.groups[id].parts[fraction(o.Key)]
	p.count++
	p.bytes += o.Size
	if o.Modified.After(p.newest) {
		p.newest = o.Modified
	}
}

// groupOf returns the group that an object of a day belongs to.
func (l *location) groupOf(day string, o bucket.Object) *group {
	g := &group{day: day}
	if !l.single() {
		g.set = l.setOf(o.Key)
	}
	return g
}

func fraction(key string) int {
	digest := fnv.New32a()
	_, _ = digest.Write([]byte(key))
	return int(digest.Sum32() % fractions)
}

func (g *group) name() string { return strings.TrimPrefix(g.set+" of "+g.day, " of ") }

// part returns the name of a fraction of a group.
func (g *group) part(i int) string { return fmt.Sprintf("%s/%x", g.name(), i) }

// The largest group that is read as one.
const (
	largest = 16 << 30
	most    = 10_000
)

// units returns what a group is read as.
func (g *group) units() []job.Unit {
	whole := part{}
	for _, p := range g.parts {
		whole.count += p.count
		whole.bytes += p.bytes
		if p.newest.After(whole.newest) {
			whole.newest = p.newest
		}
	}
	if whole.bytes <= largest && whole.count <= most {
		return []job.Unit{whole.unit(g.name())}
	}
	var list []job.Unit
	for i, p := range g.parts {
		if p.count > 0 {
			list = append(list, p.unit(g.part(i)))
		}
	}
	return list
}

// unit is named and stamped so that objects that are removed change nothing.
func (p part) unit(id string) job.Unit {
	return job.Unit{ID: id, Bytes: p.bytes, Stamp: p.newest.UTC().Format(time.RFC3339Nano)}
}

// A summary is what is known of a bucket after a scan.
type summary struct {
	at     time.Time
	pages  int
	loose  []bucket.Object // the newest first
	byKey  map[string]bucket.Object
	groups map[string]*group // by the name of their units
	units  []job.Unit
	sets   map[string]*set
	old    hiding
	notes  []string
}

func (s *scan) finish(now time.Time) *summary {
	sum := &summary{
		at: now, pages: s.seen/bucket.Page + 1, sets: s.sets, old: s.hides(),
		byKey: map[string]bucket.Object{}, groups: map[string]*group{},
	}
	for _, list := range s.loose {
		sum.loose = append(sum.loose, list...)
	}
	slices.SortFunc(sum.loose, func(a, b bucket.Object) int { return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(b.Key, a.Key)) })
	for _, o := range sum.loose {
		sum.byKey[o.Key] = o
		sum.units = append(sum.units, job.Unit{ID: o.Key, Bytes: o.Size, Stamp: o.Stamp()})
	}
	days := slices.SortedFunc(maps.Values(s.groups), func(a, b *group) int { return cmp.Or(cmp.Compare(b.day, a.day), cmp.Compare(a.set, b.set)) })
	for _, g := range days {
		for _, u := range g.units() {
			sum.groups[u.ID] = g
			sum.units = append(sum.units, u)
		}
	}
	if len(days) > 0 {
		sum.notes = append(sum.notes, fmt.Sprintf("%d objects; those until %s are read by the day", s.seen, s.cut))
	}
	return sum
}

// hidden is the flaw that the newest backup was deleted, though its content is
// still there. Old ones are deleted in the course of things.
func (s *summary) hidden() error {
	o := s.old.object
	if o.Key == "" {
		return nil
	}
	return job.Flawed(job.Incomplete, "the newest backup %.80q of %s is hidden by a delete marker of %s", o.Key, o.Modified.UTC().Format(time.RFC3339), s.old.by.UTC().Format(time.RFC3339))
}
