// Package wal knows the names of the segments of PostgreSQL's write-ahead log,
// and tells whether an archive of them lacks one that a restore needs.
package wal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/backup/job"
)

// A Segment is one segment of the log.
type Segment struct {
	Timeline uint32
	Number   uint64 // counted from the beginning of the log
}

// NameLength is how long the name of a segment is.
const NameLength = 24

// DefaultSize is how large segments are unless somebody chose otherwise.
const DefaultSize = 16 << 20

// An LSN is a place in the log.
type LSN uint64

// ParseLSN reads a place such as 0/2000028.
func ParseLSN(text string) (LSN, error) {
	high, low, ok := strings.Cut(text, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%.40q is no place in a log", text)
	}
	return LSN(h<<32 | l), nil
}

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l)) }

// perLog is how many segments share the middle part of a name.
func perLog(size int64) uint64 { return 1 << 32 / uint64(size) }

// ParseSegment reads the name of a segment of a log whose segments have a size.
func ParseSegment(name string, size int64) (Segment, error) {
	none := fmt.Errorf("%.60q is no segment of a log", name)
	if len(name) != NameLength || strings.ToUpper(name) != name {
		return Segment{}, none
	}
	timeline, err1 := strconv.ParseUint(name[:8], 16, 32)
	log, err2 := strconv.ParseUint(name[8:16], 16, 32)
	low, err3 := strconv.ParseUint(name[16:], 16, 32)
	if err1 != nil || err2 != nil || err3 != nil || timeline == 0 || low >= perLog(size) {
		return Segment{}, none
	}
	return Segment{uint32(timeline), log*perLog(size) + low}, nil
}

// Name is the name of a segment.
func (s Segment) Name(size int64) string {
	return fmt.Sprintf("%08X%08X%08X", s.Timeline, s.Number/perLog(size), s.Number%perLog(size))
}

// SizeOf returns how large segments are, given a place and the name of the
// segment that holds it. Where several sizes fit it is the default.
func SizeOf(at LSN, name string) (int64, error) {
	fits := func(size int64) bool {
		s, err := ParseSegment(name, size)
		return err == nil && s.Number == uint64(at)/uint64(size)
	}
	if fits(DefaultSize) {
		return DefaultSize, nil
	}
	for size := int64(1 << 20); size <= 1<<30; size *= 2 {
		if fits(size) {
			return size, nil
		}
	}
	return 0, fmt.Errorf("%s lies in no segment %.40q", at, name)
}

// A fork is where a timeline left its parent.
type fork struct {
	parent uint32
	at     LSN
}

// An Archive is what is kept of a log.
type Archive struct {
	Size int64 // of a segment

	segments map[Segment]time.Time // when they were archived
	forks    map[uint32][]fork     // by timeline; the oldest first
}

// NewArchive returns an empty archive of segments of a size.
func NewArchive(size int64) *Archive {
	return &Archive{Size: size, segments: map[Segment]time.Time{}, forks: map[uint32][]fork{}}
}

// Add adds a segment by its name. What is no segment is not added.
func (a *Archive) Add(name string, archived time.Time) bool {
	s, err := ParseSegment(name, a.Size)
	if err != nil {
		return false
	}
	a.segments[s] = archived
	return true
}

// IsHistory reports whether a name is that of the history of a timeline.
func IsHistory(name string) bool {
	_, err := strconv.ParseUint(strings.TrimSuffix(name, ".history"), 16, 32)
	return len(name) == 8+len(".history") && strings.HasSuffix(name, ".history") && err == nil
}

// History adds what a history file says of where timelines left each other.
func (a *Archive) History(name string, text []byte) error {
	if !IsHistory(name) {
		return fmt.Errorf("%.60q is no history of a timeline", name)
	}
	timeline, err := strconv.ParseUint(name[:8], 16, 32)
	if err != nil {
		return err
	}
	var forks []fork
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		parent, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return fmt.Errorf("the history %s has a line %.60q", name, line)
		}
		at, err := ParseLSN(fields[1])
		if err != nil {
			return fmt.Errorf("the history %s: %w", name, err)
		}
		forks = append(forks, fork{uint32(parent), at})
	}
	a.forks[uint32(timeline)] = forks
	return nil
}

// Newest is when the newest segment was archived; zero: there is none.
func (a *Archive) Newest() time.Time {
	var newest time.Time
	for _, at := range a.segments {
		if at.After(newest) {
			newest = at
		}
	}
	return newest
}

// Between returns a flaw if a segment from first to last is missing: without
// one of them the backup cannot be made consistent.
func (a *Archive) Between(first, last string) error {
	from, err := ParseSegment(first, a.Size)
	if err != nil {
		return err
	}
	to, err := ParseSegment(last, a.Size)
	if err != nil {
		return err
	}
	if to.Timeline != from.Timeline || to.Number < from.Number || to.Number-from.Number > maxSpan {
		return job.Flawed(job.Damaged, "a log from %s to %s cannot be", first, last)
	}
	for s := from; s.Number <= to.Number; s.Number++ {
		if _, there := a.segments[s]; !there {
			return job.Flawed(job.Incomplete, "the log that the backup needs is missing: %s", s.Name(a.Size))
		}
	}
	return nil
}

// maxSpan is more segments than any backup runs through.
const maxSpan = 1 << 24

// After looks at the log that was archived behind a backup, whose last segment
// is given. It returns when the last segment was archived that a restore can
// reach, and a flaw if one is missing before others that were archived before
// settled: several may be on their way at once.
func (a *Archive) After(last string, settled time.Time) (reached time.Time, err error) {
	from, err := ParseSegment(last, a.Size)
	if err != nil {
		return time.Time{}, err
	}
	chain := a.chain(from)
	var numbers []uint64
	for s := range a.segments {
		if s.Number >= from.Number && chain.at(s.Number) == s.Timeline {
			numbers = append(numbers, s.Number)
		}
	}
	slices.Sort(numbers)
	next := from.Number
	for i, n := range numbers {
		at := a.segments[Segment{chain.at(n), n}]
		switch {
		case n == next:
			next, reached = n+1, at
		case at.Before(settled):
			missing, end := Segment{chain.at(next), next}, numbers[len(numbers)-1]
			return reached, job.Flawed(job.Incomplete, "the archive lacks %s, so that nothing after it can be restored: %d segments up to %s",
				missing.Name(a.Size), len(numbers)-i, Segment{chain.at(end), end}.Name(a.Size))
		}
	}
	return reached, nil
}

// From lists the segments that follow each other on one timeline, from the first
// one on, and at most so many.
func (a *Archive) From(first string, most int) []string {
	s, err := ParseSegment(first, a.Size)
	var names []string
	for ; err == nil && len(names) < most; s.Number++ {
		if _, there := a.segments[s]; !there {
			break
		}
		names = append(names, s.Name(a.Size))
	}
	return names
}

// A chain says which timeline a segment is of, on the way from a backup to the
// newest state.
type chain struct {
	size  int64
	forks []fork // the oldest first
	last  uint32
}

func (c chain) at(number uint64) uint32 {
	for _, f := range c.forks {
		if number < uint64(f.at)/uint64(c.size) {
			return f.parent
		}
	}
	return c.last
}

// chain returns the way to the newest timeline that goes through a segment.
func (a *Archive) chain(from Segment) chain {
	best := chain{size: a.Size, last: from.Timeline}
	for timeline, forks := range a.forks {
		c := chain{size: a.Size, forks: forks, last: timeline}
		if timeline > best.last && through(c, from) {
			best = c
		}
	}
	return best
}

// through reports whether a way goes through a segment: the next timeline may
// have begun within it.
func through(c chain, s Segment) bool {
	for _, f := range c.forks {
		if f.parent == s.Timeline {
			return s.Number <= uint64(f.at)/uint64(c.size)
		}
	}
	return c.last == s.Timeline
}
