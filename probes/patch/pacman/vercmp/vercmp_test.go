package vercmp_test

import (
	"testing"

	"hygiene_exporter/probes/patch/pacman/vercmp"
)

func TestVersionsAreInTheOrderOfPacman(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, a, b string
		want       int
	}{
		{"the same", "1.0-1", "1.0-1", 0},
		{"numbers are numbers", "1.9", "1.10", -1},
		{"a word at the end makes a version older", "1.0rc1", "1.0", -1},
		{"a further number makes it newer", "1.0.1", "1.0", 1},
		{"an epoch beats a version", "1:1.0", "2.0", 1},
		{"no epoch is an epoch of 0", "0:1.0", "1.0", 0},
		{"a release counts if both have one", "1.0-1", "1.0-2", -1},
		{"a release does not count if one has none", "1.0-9", "1.0", 0},
		{"a longer separator is newer", "1..0", "1.0", 1},
		{"which separator it is does not matter", "1_0", "1.0", 0},
		{"a number is newer than a word", "1.1", "1.a", 1},
		{"leading zeros do not count", "1.001", "1.1", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := vercmp.Compare(test.a, test.b); got != test.want {
				t.Errorf("Compare(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
			}
		})
	}
}

// A version equals itself, and what is compared the other way round has the
// other sign. pacman itself breaks the second where words remain.
func FuzzCompare(f *testing.F) {
	f.Add("1:1.0rc1-2", "1.0_1")
	f.Fuzz(func(t *testing.T, a, b string) {
		if vercmp.Compare(a, a) != 0 {
			t.Errorf("%q differs from itself", a)
		}
		if order := vercmp.Compare(a, b); order < -1 || order > 1 {
			t.Errorf("Compare(%q, %q) = %d", a, b, order)
		}
	})
}
