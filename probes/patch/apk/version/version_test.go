package version_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/apk/version"
)

func TestVersionsAreInTheOrderOfAPK(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		ordered []string
	}{
		{"numbers are numbers", []string{"1.2", "1.9", "1.10"}},
		{"a part that begins with a zero is a fraction", []string{"1.02.07", "1.02.10", "1.07", "1.1"}},
		{"suffixes before and after a release", []string{"1.0_alpha", "1.0_alpha2", "1.0_beta", "1.0_pre1", "1.0_rc1", "1.0", "1.0_cvs", "1.0_svn", "1.0_git2", "1.0_hg", "1.0_p1", "1.0_p10"}},
		{"a suffix of a suffix", []string{"0.1.0_alpha_pre2", "0.1.0_alpha"}},
		{"revisions", []string{"1.3", "1.3-r0", "1.3-r1", "1.3-r10", "1.3.1-r0"}},
		{"letters", []string{"2.5.1-r8", "2.5.1a-r1", "2.5.1b"}},
		{"dates", []string{"1.0.0_pre20191002222144-r0", "1.0.0_pre20210530193627-r0"}},
		{"longer numbers than fit an integer", []string{"99999999999999999999", "100000000000000000000"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			shuffled := slices.Clone(test.ordered)
			rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			slices.SortFunc(shuffled, version.Compare)
			if diff := cmp.Diff(test.ordered, shuffled); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1": true, "1.0a_rc1-r2": true, "1.0~abc123-r0": true, "6b-r7": true,
		"": false, "a": false, "1.": false, "1_foo": false, "1-2": false, "1.0-r": false, "1-r1.2": false, "1.0bc": false,
	} {
		if got := version.Valid(text); got != want {
			t.Errorf("Valid(%q) = %v", text, got)
		}
	}
}

// The order is one: what is compared the other way round has the other sign, and
// a version equals itself.
func FuzzCompare(f *testing.F) {
	f.Add("1.0_rc1-r2", "1.02a~ff")
	f.Fuzz(func(t *testing.T, a, b string) {
		if version.Compare(a, a) != 0 || version.Compare(a, b) != -version.Compare(b, a) {
			t.Errorf("%q and %q", a, b)
		}
	})
}
