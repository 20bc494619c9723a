package wal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/wal"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		want uint64
	}{
		{"000000010000000000000002", 16 << 20, 2},
		{"0000000100000001000000FF", 16 << 20, 511},
		{"000000010000000100000000", 1 << 30, 4},
		{"000000010000000000000FFF", 1 << 20, 4095},
	} {
		s, err := wal.ParseSegment(c.name, c.size)
		if err != nil || s.Number != c.want || s.Name(c.size) != c.name {
			t.Errorf("%s: %v %v %s", c.name, s, err, s.Name(c.size))
		}
	}
	for _, name := range []string{"", "000000010000000000000100", "00000001000000000000000g", "00000001000000000000000a", "000000000000000000000001", "00000002.history"} {
		if s, err := wal.ParseSegment(name, wal.DefaultSize); err == nil {
			t.Errorf("%q is %v", name, s)
		}
	}
}

func TestSizeOf(t *testing.T) {
	for _, c := range []struct {
		at, name string
		want     int64
	}{
		{"0/2000028", "000000010000000000000002", 16 << 20},
		{"0/4000028", "000000010000000000000001", 64 << 20},
		{"0/100028", "000000010000000000000001", 1 << 20},
		{"1/40000028", "000000010000000100000001", 1 << 30},
		{"0/28", "000000010000000000000000", 16 << 20},
	} {
		at, err := wal.ParseLSN(c.at)
		if err != nil {
			t.Fatal(err)
		}
		if size, err := wal.SizeOf(at, c.name); err != nil || size != c.want {
			t.Errorf("%s in %s: %d %v", c.at, c.name, size, err)
		}
	}
	if size, err := wal.SizeOf(0x2000028, "000000010000000000000009"); err == nil {
		t.Errorf("something that cannot be has the size %d", size)
	}
}

// archive makes one of segments such as "1:2-9 2:10 ..", each archived a minute
// after the one before, and of histories such as "2=1@0/A000000".
func archive(t *testing.T, text string) *wal.Archive {
	t.Helper()
	a := wal.NewArchive(wal.DefaultSize)
	at := time.Unix(0, 0)
	for part := range strings.FieldsSeq(text) {
		if timeline, forks, history := strings.Cut(part, "="); history {
			lines := strings.NewReplacer(",", "\n", "@", "\t").Replace(forks)
			if err := a.History(fmt.Sprintf("%08s.history", timeline), []byte(lines)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var timeline uint32
		var from, to uint64
		if _, err := fmt.Sscanf(part, "%d:%d-%d", &timeline, &from, &to); err != nil {
			t.Fatal(err)
		}
		for ; from <= to; from++ {
			at = at.Add(time.Minute)
			if !a.Add(wal.Segment{Timeline: timeline, Number: from}.Name(wal.DefaultSize), at) {
				t.Fatal(part)
			}
		}
	}
	return a
}

func TestContinuity(t *testing.T) {
	for _, c := range []struct {
		name, archive string
		first, last   wal.Segment
		settled       int // minutes
		between       string
		after         string
		reached       int // minutes
	}{
		{"whole", "1:2-9", seg(1, 2), seg(1, 3), 99, "good", "good", 8},
		{"a gap within the backup", "1:2-2 1:4-9", seg(1, 2), seg(1, 4), 99, "bad incomplete", "good", 7},
		{"a gap behind the backup", "1:2-4 1:6-9", seg(1, 2), seg(1, 3), 99, "good", "bad incomplete", 3},
		{"a gap that may yet be filled", "1:2-4 1:6-9", seg(1, 2), seg(1, 3), 4, "good", "good", 3},
		{"a gap before the backup is of no account", "1:2-3 1:5-9", seg(1, 6), seg(1, 7), 99, "good", "good", 7},
		{"the last one is missing", "1:2-4", seg(1, 4), seg(1, 5), 99, "bad incomplete", "good", 0},
		{"nothing at all", "", seg(1, 4), seg(1, 5), 99, "bad incomplete", "good", 0},
		{"a timeline that left within a segment", "1:2-4 2:5-9 2=1@0/5000100", seg(1, 2), seg(1, 3), 99, "good", "good", 8},
		{"a gap at the fork", "1:2-4 2:6-9 2=1@0/5000100", seg(1, 2), seg(1, 3), 99, "good", "bad incomplete", 3},
		{"a gap before the fork", "1:2-3 2:5-9 2=1@0/5000100", seg(1, 2), seg(1, 3), 99, "good", "bad incomplete", 2},
		{"a timeline that left before the backup", "1:2-9 2:4-5 2=1@0/4000100", seg(1, 6), seg(1, 7), 99, "good", "good", 8},
		{"two forks", "1:2-4 2:5-6 3:6-8 2=1@0/5000100 3=1@0/5000100,2@0/6000200", seg(1, 2), seg(1, 3), 99, "good", "good", 8},
		{"a timeline without a history", "1:2-4 2:5-6", seg(1, 2), seg(1, 3), 99, "good", "good", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := archive(t, c.archive)
			if got := answer(a.Between(c.first.Name(a.Size), c.last.Name(a.Size))); got != c.between {
				t.Errorf("within the backup: %q, want %q", got, c.between)
			}
			reached, err := a.After(c.last.Name(a.Size), time.Unix(int64(60*c.settled), 0))
			if got := answer(err); got != c.after {
				t.Errorf("behind the backup: %q, want %q: %v", got, c.after, err)
			}
			want := time.Time{}
			if c.reached > 0 {
				want = time.Unix(int64(60*c.reached), 0)
			}
			if !reached.Equal(want) {
				t.Errorf("reached %v, want %v", reached, want)
			}
		})
	}
}

func TestFrom(t *testing.T) {
	a := archive(t, "1:2-4 1:6-9 2:5-5")
	for _, c := range []struct {
		first wal.Segment
		most  int
		want  string
	}{
		{seg(1, 3), 9, "000000010000000000000003 000000010000000000000004"},
		{seg(1, 6), 2, "000000010000000000000006 000000010000000000000007"},
		{seg(1, 5), 9, ""},
	} {
		if got := strings.Join(a.From(c.first.Name(a.Size), c.most), " "); got != c.want {
			t.Errorf("%v: %q, want %q", c.first, got, c.want)
		}
	}
}

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

// FuzzNames: a name that is read is written as it was, and nothing panics.
func FuzzNames(f *testing.F) {
	f.Add("000000010000000000000002", []byte("1\t0/5000100\tno reason\n"))
	f.Fuzz(func(t *testing.T, name string, history []byte) {
		if s, err := wal.ParseSegment(name, wal.DefaultSize); err == nil && s.Name(wal.DefaultSize) != name {
			t.Errorf("%q became %q", name, s.Name(wal.DefaultSize))
		}
		a := wal.NewArchive(wal.DefaultSize)
		_ = a.History("00000002.history", history)
		a.Add("000000010000000000000002", time.Unix(1, 0))
		_, _ = a.After("000000010000000000000002", time.Unix(2, 0))
	})
}

func seg(timeline uint32, number uint64) wal.Segment {
	return wal.Segment{Timeline: timeline, Number: number}
}
