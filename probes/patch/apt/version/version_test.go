package version

import (
	"slices"
	"testing"
)

// ordered are versions from the oldest to the newest, by deb-version(7).
var ordered = []string{
	"0~~", "0~~a", "0~", "0", "0a", "0+", "1.0~rc1-1", "1.0-0ubuntu1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b1", "1.0-1.1",
	"1.0-10", "1.0a-1", "1.0+dfsg-1", "1.0.1-1", "1.9", "1.10", "9:0", "10:0~",
}

func TestOrder(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got := Compare(a, b); sign(got) != sign(i-j) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"0:1", "1"}, {"1-0", "1"}, {"1.00", "1.0"}, {"", "0"}, {"a", "a0"}} {
		if got := Compare(same[0], same[1]); got != 0 {
			t.Errorf("Compare(%q, %q) = %d", same[0], same[1], got)
		}
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

// Any texts are in a total order.
func FuzzCompare(f *testing.F) {
	f.Add("1:2-3", "1:2~-3", "2-")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if sign(Compare(a, b)) != -sign(Compare(b, a)) {
			t.Errorf("%q and %q are not in one order", a, b)
		}
		list := []string{a, b, c}
		slices.SortFunc(list, Compare)
		if Compare(list[0], list[2]) > 0 {
			t.Errorf("no order in %q", list)
		}
	})
}
