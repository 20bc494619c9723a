package mdraid

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/redundancy/group"
)

// array builds what sysfs says of an array: "attr=value" words, and members as
// "name:slot:state[:disk]".
func raw(text string) Raw {
	r := Raw{Attr: map[string]string{"array_state": "clean", "metadata_version": "1.2", "sync_action": "idle", "sync_completed": "none"}}
	for word := range strings.FieldsSeq(text) {
		if attr, value, is := strings.Cut(word, "="); is {
			r.Attr[attr] = strings.ReplaceAll(value, "~", " ")
			continue
		}
		part := strings.Split(word, ":")
		d := Device{Name: part[0], Disk: part[0], Attr: map[string]string{"slot": part[1], "state": part[2], "errors": "0"}}
		if len(part) > 3 && part[3] != "bad" {
			d.Disk = part[3]
		}
		if len(part) > 3 && part[3] == "bad" {
			d.Attr["bad_blocks"] = "2048 8"
		}
		r.Devices = append(r.Devices, d)
	}
	return r
}

// brief is what a test compares: what is tolerated of what should be, the active
// members of the expected ones, spares, and what is remarkable.
func brief(g group.Group) string {
	text := fmt.Sprintf("%d/%d %d/%d", g.Tolerated, g.Design, g.Active(), g.Expected)
	if !g.Known {
		text = fmt.Sprintf("? %d/%d", g.Active(), g.Expected)
	}
	for _, more := range []struct {
		is   bool
		word string
	}{
		{g.Spares > 0, fmt.Sprintf("spares=%d", g.Spares)},
		{g.Failed != "", "failed"},
		{g.Err != nil, "unclear"},
		{g.Sync.Rebuilding, "rebuilding"},
		{g.Sync.Confirming, "resync"},
		{g.Sync.Scrubbing, "check"},
		{g.Sync.HasRatio, fmt.Sprintf("%.2f", g.Sync.Ratio)},
		{g.Scrub.Ended, "checked"},
		{g.Scrub.Counted, fmt.Sprintf("mismatches=%g", g.Scrub.Errors)},
	} {
		if more.is {
			text += " " + more.word
		}
	}
	return text
}

func TestArrays(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"a whole raid1 with a spare":                   {"level=raid1 raid_disks=2 degraded=0 a:0:in_sync b:1:in_sync c:none:spare", "1/1 2/2 spares=1"},
		"a raid1 whose member failed and is attached":  {"level=raid1 raid_disks=2 degraded=1 a:none:faulty b:1:in_sync", "0/1 1/2"},
		"a raid1 whose member was removed":             {"level=raid1 raid_disks=2 degraded=1 b:1:in_sync", "0/1 1/2"},
		"a raid1 that is rebuilt":                      {"level=raid1 raid_disks=2 degraded=1 sync_action=recover sync_completed=25~/~100 b:1:in_sync c:0:spare", "0/1 1/2 rebuilding 0.25"},
		"a rebuild that waits for another":             {"level=raid1 raid_disks=2 degraded=1 sync_action=recover sync_completed=delayed b:1:in_sync c:0:spare", "0/1 1/2"},
		"a check that waits for another is no trouble": {"level=raid1 raid_disks=2 degraded=0 sync_action=check sync_completed=delayed a:0:in_sync b:1:in_sync", "1/1 2/2 check"},
		"a resync after a crash":                       {"level=raid5 raid_disks=3 degraded=0 sync_action=resync sync_completed=1~/~4 a:0:in_sync b:1:in_sync c:2:in_sync", "1/1 3/3 resync 0.25"},
		"a write-mostly member counts":                 {"level=raid1 raid_disks=2 degraded=0 a:0:in_sync b:1:in_sync,write_mostly", "1/1 2/2"},
		"a raid1 of three":                             {"level=raid1 raid_disks=3 degraded=1 a:0:in_sync b:1:in_sync", "1/2 2/3"},
		"a raid1 shrunk to one":                        {"level=raid1 raid_disks=1 degraded=0 a:0:in_sync", "0/0 1/1"},
		"a failed spare of a whole array":              {"level=raid1 raid_disks=2 degraded=0 a:0:in_sync b:1:in_sync c:none:faulty", "1/1 2/2"},
		"a raid6 with one gone":                        {"level=raid6 raid_disks=4 degraded=1 a:0:in_sync b:1:in_sync c:2:in_sync", "1/2 3/4"},
		"a raid6 with two gone":                        {"level=raid6 raid_disks=4 degraded=2 a:0:in_sync b:1:in_sync", "0/2 2/4"},
		"a raid5 with two gone":                        {"level=raid5 raid_disks=3 degraded=2 a:0:in_sync", "-1/1 1/3"},
		"a raid4":                                      {"level=raid4 raid_disks=3 degraded=0 a:0:in_sync b:1:in_sync c:2:in_sync", "1/1 3/3"},
		"a reshape that adds a disk":                   {"level=raid5 raid_disks=4~(3) degraded=0 sync_action=reshape a:0:in_sync b:1:in_sync c:2:in_sync d:3:in_sync", "1/1 4/4"},
		"a reshape that takes a disk away":             {"level=raid5 raid_disks=3~(4) degraded=0 sync_action=reshape a:0:in_sync b:1:in_sync c:2:in_sync d:3:in_sync", "1/1 4/4"},
		"a reshape that takes away a disk that failed": {"level=raid5 raid_disks=3~(4) degraded=1 sync_action=reshape a:0:in_sync b:1:in_sync c:2:in_sync d:3:faulty", "0/1 3/4"},
		"a raid0 is not redundant and not broken":      {"level=raid0 raid_disks=2 a:0:in_sync b:1:in_sync", "0/0 2/2"},
		"a raid0 that lost a member":                   {"level=raid0 array_state=broken raid_disks=2 a:0:in_sync", "0/0 1/2 failed"},
		"an array that was not assembled":              {"array_state=inactive raid_disks=0 a:none:spare", "? 0/0 failed"},
		"an inactive raid5":                            {"level=raid5 array_state=inactive raid_disks=3 degraded=2 a:none:spare", "-2/1 0/3 failed"},
		"raid10 near, one of four gone":                {"level=raid10 layout=258 raid_disks=4 degraded=1 b:1:in_sync c:2:in_sync d:3:in_sync", "0/1 3/4"},
		"raid10 near, one of each pair gone":           {"level=raid10 layout=258 raid_disks=4 degraded=2 b:1:in_sync c:2:in_sync", "0/1 2/4"},
		"raid10 near, a pair gone":                     {"level=raid10 layout=258 raid_disks=4 degraded=2 c:2:in_sync d:3:in_sync", "-1/1 2/4"},
		"raid10 with three copies":                     {"level=raid10 layout=259 raid_disks=3 degraded=1 b:1:in_sync c:2:in_sync", "1/2 2/3"},
		"raid10 of a layout that is none":              {"level=raid10 layout=0 raid_disks=4 a:0:in_sync", "? 1/4 unclear"},
		"a replacement beside what it replaces":        {"level=raid1 raid_disks=2 degraded=0 sync_action=recover a:0:in_sync,want_replacement b:1:in_sync c:0:replacement", "1/1 2/2 rebuilding"},
		"a raid5 with its journal":                     {"level=raid5 raid_disks=3 degraded=0 consistency_policy=journal a:0:in_sync b:1:in_sync c:2:in_sync j:journal:in_sync,journal", "1/1 3/3"},
		"a raid5 whose journal failed":                 {"level=raid5 raid_disks=3 degraded=0 consistency_policy=journal a:0:in_sync b:1:in_sync c:2:in_sync j:journal:faulty,journal", "0/1 3/3"},
		"blocks that one member lacks":                 {"level=raid1 raid_disks=2 degraded=0 a:0:in_sync:bad b:1:in_sync", "0/1 2/2"},
		"differences after a check":                    {"level=raid6 raid_disks=4 degraded=0 last_sync_action=check mismatch_cnt=8 a:0:in_sync b:1:in_sync c:2:in_sync d:3:in_sync", "2/2 4/4 mismatches=8"},
		"a check that went to its end":                 {"level=raid1 raid_disks=2 degraded=0 last_sync_action=check sync_min=0 a:0:in_sync b:1:in_sync", "1/1 2/2 checked"},
		"a check that was stopped":                     {"level=raid1 raid_disks=2 degraded=0 last_sync_action=check sync_min=1024 a:0:in_sync b:1:in_sync", "1/1 2/2"},
		"differences on a raid1 mean nothing":          {"level=raid1 raid_disks=2 degraded=0 last_sync_action=check mismatch_cnt=128 a:0:in_sync b:1:in_sync", "1/1 2/2"},
		"a bay for 32 disks with four":                 {"level=raid1 raid_disks=32 degraded=28 a:0:in_sync b:1:in_sync c:2:in_sync d:3:in_sync", "3/31 4/32"},
		"an array inside a container":                  {"level=raid1 metadata_version=external:/md127/0 raid_disks=2 degraded=0 a:0:in_sync b:1:in_sync", "1/1 2/2"},
		"a state that nobody knows":                    {"level=raid1 array_state=wobbly raid_disks=2 degraded=0 a:0:in_sync b:1:in_sync", "1/1 2/2 unclear"},
		"a level that nobody knows":                    {"level=raid7 raid_disks=2 a:0:in_sync b:1:in_sync", "? 2/2 unclear"},
		"an action that nobody knows":                  {"level=raid1 raid_disks=2 degraded=0 sync_action=dance a:0:in_sync b:1:in_sync", "1/1 2/2"},
		"read-only":                                    {"level=raid1 array_state=read-auto raid_disks=2 degraded=0 a:0:in_sync b:1:in_sync", "1/1 2/2"},
		"a number that is none":                        {"level=raid1 raid_disks=many degraded=few a:0:in_sync b:1:in_sync", "-1/-1 2/0 unclear"},
	} {
		g, is := raw(c.raw).Group("md0")
		if !is {
			t.Errorf("%s: is no array", name)
		}
		if diff := cmp.Diff(c.want, brief(g)); diff != "" {
			t.Errorf("%s (-want +got):\n%s%v", name, diff, g.Err)
		}
	}
}

func TestWhatIsNoArray(t *testing.T) {
	for name, text := range map[string]string{
		"the container of IMSM":      "level=container array_state=inactive metadata_version=external:imsm a:none:spare b:none:spare",
		"a container without a word": "array_state=inactive metadata_version=external:ddf a:none:spare",
		"an empty leftover":          "array_state=clear",
	} {
		if g, is := raw(text).Group("md0"); is {
			t.Errorf("%s: is %+v", name, g)
		}
	}
}

// A second way to know what raid10 survives: fail every set of disks and see
// whether some block has no copy left.
func TestRaid10SurvivesExactlyWhatItSays(t *testing.T) {
	for disks := 2; disks <= 7; disks++ {
		for _, layout := range []int{0x102, 0x103, 0x201, 0x202, 0x10201, 0x20201 | 1<<18, 0x40201, 0x10301} {
			all := copies(layout, disks)
			if all == nil {
				continue
			}
			for gone := range 1 << disks {
				current := func(slot int) bool { return gone>>slot&1 == 0 }
				said := tolerance10(all, current)
				if got := survived(all, disks, gone); got != said {
					t.Fatalf("layout %#x of %d disks without %b: says %d, survives %d", layout, disks, gone, said, got)
				}
			}
		}
	}
}

// survived tries: it returns the largest number of further failures after which
// every block has a copy, whichever disks fail; -1 if one has none already.
func survived(all [][]int, disks, gone int) int {
	whole := func(gone int) bool {
		for _, slots := range all {
			left := false
			for _, slot := range slots {
				left = left || gone>>slot&1 == 0
			}
			if !left {
				return false
			}
		}
		return true
	}
	for n := 0; ; n++ {
		for more := range 1 << disks {
			if more&gone == 0 && ones(more) == n && !whole(gone|more) {
				return n - 1
			}
		}
	}
}

func ones(n int) (count int) {
	for ; n > 0; n &= n - 1 {
		count++
	}
	return count
}

// The geometry of md(4): where the copies of blocks lie.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		name          string
		layout, disks int
		want          [][]int
	}{
		{"near 2 of 4: pairs", 0x102, 4, [][]int{{0, 1}, {2, 3}}},
		{"near 2 of 3: neighbours with a wrap", 0x102, 3, [][]int{{0, 1}, {2, 0}, {1, 2}}},
		{"far 2 of 4: neighbours", 0x201, 4, [][]int{{0, 1}, {1, 2}, {2, 3}, {3, 0}}},
		{"offset 2 of 3: neighbours", 0x10201, 3, [][]int{{0, 1}, {1, 2}, {2, 0}}},
		{"far 2 of 4 in sets: pairs", 0x40201, 4, [][]int{{0, 1}, {1, 0}, {2, 3}, {3, 2}}},
		{"far 2 of 5 in sets: the last set takes the rest", 0x40201, 5, [][]int{{0, 1}, {1, 0}, {2, 3}, {3, 4}, {4, 2}}},
		{"near 2 and far 2 of 4", 0x202, 4, [][]int{{0, 2, 1, 3}, {2, 0, 3, 1}}},
		{"more copies than disks", 0x105, 4, nil},
		{"no copies", 0, 4, nil},
		{"an unknown kind of sets", 0x80201, 4, nil},
	} {
		if diff := cmp.Diff(c.want, copies(c.layout, c.disks)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Whatever sysfs says, an array with less than all of its members never survives
// as much as a whole one.
func FuzzGroup(f *testing.F) {
	f.Add("level=raid1 raid_disks=2 degraded=1 a:0:in_sync b:none:faulty")
	f.Add("level=raid10 layout=258 raid_disks=4 degraded=0 a:0:in_sync b:1:in_sync c:2:in_sync d:3:in_sync")
	f.Add("level=raid6 raid_disks=11~(10) sync_action=recover sync_completed=1~/~0 a:0:in_sync j:journal:journal")
	f.Fuzz(func(t *testing.T, text string) {
		for word := range strings.FieldsSeq(text) {
			if !strings.Contains(word, "=") && strings.Count(word, ":") < 2 {
				t.Skip()
			}
		}
		g, is := raw(text).Group("md0")
		if !is || g.Err != nil || !g.Known {
			return
		}
		if g.Tolerated > g.Design {
			t.Errorf("survives %d of %d", g.Tolerated, g.Design)
		}
		if g.Design > 0 && g.Active() < g.Expected && g.Tolerated >= g.Design {
			t.Errorf("survives %d of %d with %d of %d members", g.Tolerated, g.Design, g.Active(), g.Expected)
		}
		if g.Sync.Ratio < 0 || g.Sync.Ratio > 1 {
			t.Errorf("%g of a sync is done", g.Sync.Ratio)
		}
	})
}
