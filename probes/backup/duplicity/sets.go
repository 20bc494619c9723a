package duplicity

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/backup/job"
)

// A file is one in the directory of the sets.
type file struct {
	name     string
	bytes    int64
	modified time.Time
}

// A set is a full backup, or what has changed since another one.
type set struct {
	from, to   string // instants, as duplicity writes them; from is empty in a full set
	manifest   string // name of the file; empty: there is none
	signatures bool   // are there, which duplicity writes when the volumes are complete
	volumes    map[int]file
	counted    int // volumes, of a set behind a server
}

func (s *set) full() bool { return s.from == "" }

// finished reports whether the backup came to its end, whatever is left of it.
func (s *set) finished() bool { return s.manifest != "" || s.signatures }

// sets are those of one place, by the instant of their data, oldest first.
type sets []*set

const stamp = `\d{8}T\d{6}Z`

var (
	named      = regexp.MustCompile(`^duplicity-(?:full\.(` + stamp + `)|inc\.(` + stamp + `)\.to\.(` + stamp + `))\.(?:manifest|vol([1-9]\d{0,8})\.difftar)(?:\.gpg|\.gz)?$`)
	signatures = regexp.MustCompile(`^duplicity-(?:full-signatures\.(` + stamp + `)|new-signatures\.(` + stamp + `)\.to\.(` + stamp + `))\.sigtar(?:\.gpg|\.gz)?$`)
)

func instant(text string) (time.Time, error) { return time.Parse("20060102T150405Z", text) }

// parseNames finds the sets by the names of files.
func parseNames(files []file) sets {
	known := map[string]*set{}
	of := func(full, from, to string) *set {
		to = cmp.Or(to, full)
		if _, err := instant(to); err != nil {
			return nil
		}
		key := from + "." + to
		if known[key] == nil {
			known[key] = &set{from: from, to: to, volumes: map[int]file{}}
		}
		return known[key]
	}
	for _, f := range files {
		if m := named.FindStringSubmatch(f.name); m != nil {
			s := of(m[1], m[2], m[3])
			if s == nil {
				continue
			}
			if n, err := strconv.Atoi(m[4]); err == nil {
				s.volumes[n] = f
			} else {
				s.manifest = f.name
			}
		}
		if m := signatures.FindStringSubmatch(f.name); m != nil {
			if s := of(m[1], m[2], m[3]); s != nil {
				s.signatures = true
			}
		}
	}
	return slices.SortedFunc(maps.Values(known), func(a, b *set) int {
		return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.from, b.from))
	})
}

// chain returns the sets that a set needs, the full one first. Its first is not
// full when one is missing before it.
func (l sets) chain(s *set) sets {
	chain := sets{s}
	for !chain[0].full() && len(chain) <= len(l) {
		before := slices.IndexFunc(l, func(b *set) bool { return b.to == chain[0].from && b.finished() && b != chain[0] })
		if before < 0 {
			break
		}
		chain = slices.Insert(chain, 0, l[before])
	}
	return chain
}

func (l sets) find(id string) *set {
	i := slices.IndexFunc(l, func(s *set) bool { return s.to == id && s.finished() })
	if i < 0 {
		return nil
	}
	return l[i]
}

// points are the sets that came to their end, newest first.
func (l sets) points() []job.Point {
	var points []job.Point
	for _, s := range slices.Backward(l) {
		at, err := instant(s.to)
		if err != nil || !s.finished() || slices.ContainsFunc(points, func(p job.Point) bool { return p.ID == s.to }) {
			continue
		}
		p := job.Point{ID: s.to, At: at, Type: "incremental"}
		if s.full() {
			p.Type = "full"
		}
		if s.counted > 0 {
			p.Units = []string{s.to}
		}
		for _, one := range l.chain(s) {
			for _, v := range one.volumes {
				p.Units = append(p.Units, v.name)
			}
		}
		slices.Sort(p.Units)
		points = append(points, p)
	}
	return points
}

// units are the volumes, those of the newest sets first.
func (l sets) units() []job.Unit {
	var units []job.Unit
	for _, s := range slices.Backward(l) {
		if !s.finished() {
			continue
		}
		for _, n := range slices.Sorted(maps.Keys(s.volumes)) {
			v := s.volumes[n]
			units = append(units, job.Unit{ID: v.name, Bytes: v.bytes, Stamp: v.modified.UTC().Format(time.RFC3339Nano)})
		}
	}
	return units
}

// of returns the set that a volume belongs to, and its number.
func (l sets) of(name string) (*set, int) {
	for _, s := range l {
		for n, v := range s.volumes {
			if v.name == name {
				return s, n
			}
		}
	}
	return nil, 0
}

// encrypted tells by the names of the newest set whether it is.
func (l sets) encrypted() string {
	for _, s := range slices.Backward(l) {
		for _, v := range s.volumes {
			if path.Ext(v.name) == ".gpg" {
				return "yes"
			}
			return "no"
		}
	}
	return ""
}

// state is what every backup changes.
func (l sets) state() string {
	var b strings.Builder
	for _, s := range l {
		fmt.Fprintln(&b, s.from, s.to, s.manifest, s.signatures, s.counted)
		for _, n := range slices.Sorted(maps.Keys(s.volumes)) {
			fmt.Fprintln(&b, n, s.volumes[n].bytes, s.volumes[n].modified.UnixNano())
		}
	}
	return b.String()
}

// longest is how many incremental sets a chain may have before a person is told:
// all of them must be whole, and are read for a restore.
const longest = 30

// notes tells of what a person should know of the sets.
func (l sets) notes() []string {
	var notes []string
	if len(l) == 0 {
		return nil
	}
	if s := l[len(l)-1]; !s.finished() {
		notes = append(notes, fmt.Sprintf("the backup that began at %s is not finished: it runs, or it was interrupted", s.to))
	}
	for _, s := range slices.Backward(l) {
		if !s.finished() {
			continue
		}
		chain := l.chain(s)
		if !chain[0].full() {
			return append(notes, fmt.Sprintf("the newest state needs the set of %s, which is missing", chain[0].from))
		}
		note := fmt.Sprintf("the newest state needs the full set of %s and %d incremental ones", chain[0].to, len(chain)-1)
		if len(chain) > longest {
			note += ", which is a long chain: each of them must be whole"
		}
		return append(notes, note)
	}
	return notes
}
