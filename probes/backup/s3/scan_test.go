package s3

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/job"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func place(o job.Options) *location {
	o.Repository = "s3://bucket/db"
	l := open(probes.Host{}, o)
	l.now = func() time.Time { return noon }
	return l
}

// scanned returns the summary of a list.
func scanned(t *testing.T, l *location, list []bucket.Object) *summary {
	t.Helper()
	s := l.begin()
	for _, o := range list {
		if err := s.entry(o); err != nil {
			t.Fatal(err)
		}
	}
	return s.finish(noon)
}

func object(key string, age time.Duration) bucket.Object {
	return bucket.Object{Key: "db/" + key, Size: 10, Modified: noon.Add(-age), ETag: "e" + key, Latest: true}
}

const hours = time.Hour

func TestObjectsThatMakeABackup(t *testing.T) {
	list := []bucket.Object{
		object("2026-03-08/a", 50*hours), object("2026-03-08/b", 49*hours),
		object("2026-03-09/a", 26*hours), object("2026-03-09/b", 25*hours),
		object("2026-03-10/a", time.Minute),
		{Key: "db/2026-03-10/", Modified: noon, Latest: true}, // stands for a directory
	}
	for _, c := range []struct {
		name    string
		options job.Options
		want    []string // points, with their age and their units
	}{
		{"each", job.Options{Snapshots: "*/a"}, []string{
			"db/2026-03-10/a 1m0s db/2026-03-10/a", "db/2026-03-09/a 26h0m0s db/2026-03-09/a", "db/2026-03-08/a 50h0m0s db/2026-03-08/a",
		}},
		{"directory, of which the newest is unfinished", job.Options{Set: "directory"}, []string{
			"db/2026-03-09 26h0m0s db/2026-03-09/a db/2026-03-09/b", "db/2026-03-08 50h0m0s db/2026-03-08/a db/2026-03-08/b",
		}},
		{"a part of the key", job.Options{Set: `\d{4}-\d\d-\d\d`, Exclude: []string{"2026-03-10/**", "b"}}, []string{
			"2026-03-09 26h0m0s db/2026-03-09/a", "2026-03-08 50h0m0s db/2026-03-08/a",
		}},
		{"all, as old as the newest of it", job.Options{Set: "all", Exclude: []string{"2026-03-10/a"}, Snapshots: "*"}, []string{
			"s3://bucket/db 25h0m0s db/2026-03-08/a db/2026-03-08/b db/2026-03-09/a db/2026-03-09/b",
		}},
	} {
		l := place(c.options)
		var sight job.Sight
		l.fill(&sight, scanned(t, l, list), nil)
		var got []string
		for _, p := range sight.Points {
			got = append(got, fmt.Sprint(p.ID, " ", noon.Sub(p.At), " ", strings.Join(p.Units, " ")))
			for _, id := range p.Units {
				if !slices.ContainsFunc(sight.Units, func(u job.Unit) bool { return u.ID == id }) {
					t.Errorf("%s: there is no unit %s", c.name, id)
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestHiddenByDeleteMarkers(t *testing.T) {
	mark := func(key string, age time.Duration) bucket.Object {
		return bucket.Object{Key: "db/" + key, Modified: noon.Add(-age), Latest: true, Deleted: true}
	}
	older := func(key string, age time.Duration) bucket.Object {
		o := object(key, age)
		o.Latest = false
		return o
	}
	for _, c := range []struct {
		name string
		list []bucket.Object
		want string
	}{
		{"the newest", []bucket.Object{object("a", 9*hours), mark("b", hours), older("b", 2*hours)}, "bad incomplete"},
		{"the newest, in the order of another server", []bucket.Object{mark("b", hours), older("b", 2*hours), object("a", 9*hours)}, "bad incomplete"},
		{"an old one", []bucket.Object{object("b", hours), mark("a", time.Minute), older("a", 9*hours)}, "good "},
		{"an earlier version of the newest", []bucket.Object{object("b", 2*hours), older("b", 3*hours)}, "good "},
		{"one that was made anew", []bucket.Object{object("b", hours), older("b", 2*hours), mark("c", 3*hours)}, "good "},
		{"one that does not count", []bucket.Object{object("a", 9*hours), mark("b.log", hours), older("b.log", 2*hours)}, "good "},
	} {
		l := place(job.Options{Exclude: []string{"*.log"}})
		j := job.Judge(scanned(t, l, c.list).hidden())
		if got := string(j.Verdict) + " " + j.Reason; got != c.want {
			t.Errorf("%s: %q, want %q: %s", c.name, got, c.want, j.Detail)
		}
	}
}

// Whatever the order of the list, the same is remembered one by one and the same
// by the day: otherwise what was read would be forgotten.
func TestManyObjectsAreRememberedAlike(t *testing.T) {
	var list []bucket.Object
	for i := range 3 * maxLoose {
		list = append(list, object(fmt.Sprintf("%06d", i), time.Duration(i)*6*time.Minute))
	}
	random := rand.New(rand.NewPCG(1, 2))
	var want []job.Unit
	for range 3 {
		s := scanned(t, place(job.Options{}), list)
		slices.SortFunc(s.units, func(a, b job.Unit) int { return strings.Compare(a.ID, b.ID) })
		if want == nil {
			want = s.units
		}
		if diff := cmp.Diff(want, s.units); diff != "" {
			t.Fatal(diff)
		}
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	var bytes int64
	for _, u := range want {
		bytes += u.Bytes
	}
	if bytes != int64(len(list))*10 || len(want) > maxLoose+100 {
		t.Errorf("%d units with %d bytes", len(want), bytes)
	}
}

// A million objects take little memory.
func TestAMillionObjects(t *testing.T) {
	l := place(job.Options{})
	s := l.begin()
	for i := range 1_000_000 {
		if err := s.entry(object(fmt.Sprintf("%08d/some-name-that-is-as-long-as-names-are", i), time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	sum := s.finish(noon)
	var sight job.Sight
	l.fill(&sight, sum, nil)
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if used := memory.HeapAlloc >> 20; used > 32 {
		t.Errorf("%d MiB are in use", used)
	}
	if len(sight.Points) == 0 || len(sight.Units) > 2*maxLoose {
		t.Errorf("%d points, %d units", len(sight.Points), len(sight.Units))
	}
	runtime.KeepAlive(sum)
}
