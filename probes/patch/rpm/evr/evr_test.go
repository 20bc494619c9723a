package evr_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/rpm/evr"
)

func TestVersionsAreInTheOrderOfRPM(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		ordered []string // equal ones are in one test of their own
	}{
		{"numbers are numbers", []string{"1", "2", "10", "100"}},
		{"further parts make a version newer", []string{"1", "1.0", "1.0.1", "1.1"}},
		{"words are older than numbers", []string{"1.a", "1.b", "1.0", "1.1"}},
		{"a word at the end makes a version newer", []string{"1.0", "1.0a", "1.0b", "1.0.1"}},
		{"a tilde is older than nothing", []string{"1.0~rc1", "1.0~rc2", "1.0", "1.0a"}},
		{"two tildes are older than one", []string{"1~~", "1~", "1"}},
		{"a caret is newer than nothing and older than more", []string{"1.0", "1.0^", "1.0^git1", "1.0.1"}},
		{"a tilde before a caret", []string{"1.0~rc1", "1.0~rc1^git1", "1.0^git1~pre", "1.0^git1"}},
		{"upper case is older than lower case", []string{"1.A", "1.Z", "1.a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			shuffled := slices.Clone(test.ordered)
			rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			slices.SortFunc(shuffled, evr.CompareVersions)
			if diff := cmp.Diff(test.ordered, shuffled); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	for _, pair := range [][2]string{{"1.0", "1_0"}, {"1.0", "1..0"}, {"01", "1"}, {"1.", "1"}, {"1.0é", "1.0"}, {"a-b", "a.b"}} {
		if order := evr.CompareVersions(pair[0], pair[1]); order != 0 {
			t.Errorf("%q and %q compare as %d, and mean the same", pair[0], pair[1], order)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]evr.EVR{
		"1":         {Epoch: "0", Version: "1"},
		"1-2":       {Epoch: "0", Version: "1", Release: "2"},
		"3:1-2.el9": {Epoch: "3", Version: "1", Release: "2.el9"},
		":1-2":      {Epoch: "0", Version: "1", Release: "2"},
		"x:1":       {Epoch: "0", Version: "x:1"},
		"":          {Epoch: "0"},
	} {
		if diff := cmp.Diff(want, evr.Parse(text)); diff != "" {
			t.Errorf("Parse(%q) (-want +got)\n%s", text, diff)
		}
	}
	if text := evr.Parse("0:1-2").String(); text != "1-2" {
		t.Errorf("an epoch of 0 is written: %q", text)
	}
}

func TestADependencyWithoutAReleaseIsMetByAll(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have, relation, want string
		met                  bool
	}{
		{"1-5", "EQ", "1", true},
		{"1-5", "EQ", "1-4", false},
		{"1-5", "LE", "1", true},
		{"1-5", "LT", "1", false},
		{"1:0-1", "GT", "5", true},
		{"2-1", "GE", "2-2", false},
		{"2-1", "??", "2-1", false},
	} {
		if met := evr.Satisfies(evr.Parse(test.have), test.relation, evr.Parse(test.want)); met != test.met {
			t.Errorf("%s %s %s = %v", test.have, test.relation, test.want, met)
		}
	}
}

// The order is one: what is compared the other way round has the other sign, and
// a version equals itself.
func FuzzCompare(f *testing.F) {
	f.Add("1.0~rc1", "1.0^git")
	f.Add("1:2-3", "1_a")
	f.Fuzz(func(t *testing.T, a, b string) {
		left, right := evr.Parse(a), evr.Parse(b)
		if evr.Compare(left, left) != 0 || evr.Compare(left, right) != -evr.Compare(right, left) {
			t.Errorf("%q and %q", a, b)
		}
	})
}
