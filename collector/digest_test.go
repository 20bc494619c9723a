package collector

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

func sample(m *probes.Metric, value float64, labels ...string) probes.Sample {
	return probes.Sample{Metric: m, Value: value, Labels: labels}
}

func TestDigest(t *testing.T) {
	job := &probes.Metric{Name: "hygiene_test_job", Labels: []string{"object", "job"}}
	private := &probes.Metric{Name: "hygiene_test_private", Labels: []string{"__name__"}}
	broken := &probes.Metric{Name: "hygiene-test", Labels: []string{"object"}}
	sameName := &probes.Metric{Name: newest.Name, Labels: []string{"object"}}
	elsewhere := &probes.Metric{Name: "hygiene_other", Labels: []string{"object"}}
	taken := &probes.Metric{Name: "hygiene_taken", Labels: []string{"object"}}
	s := newSchema([]*probes.Metric{newest, state, info, changes, job, private, broken, taken}, map[string]bool{"hygiene_taken": true})
	locked := probes.Because(probes.Locked, errors.New("locked"))
	good := sample(newest, 1, "good", "web")

	tests := []struct {
		name           string
		give           probes.Result
		samples        []probes.Sample // besides good
		faults         string
		observed, gone string // observed besides "good"
	}{
		{
			name:     "a good result is taken as it is, and an object without an owner gets that of the probe",
			give:     probes.Result{Samples: []probes.Sample{sample(newest, 2, "a", ""), sample(state, 1, "b", "sda", "bad")}, Seen: []string{"/dir"}, Removed: []string{"c"}},
			samples:  []probes.Sample{sample(newest, 2, "a", "sre"), sample(state, 1, "b", "sda", "bad")},
			observed: "/dir a b", gone: "c",
		},
		{
			name:     "a metric of the same name and labels counts as declared",
			give:     probes.Result{Samples: []probes.Sample{sample(newestOf("test"), 2, "a", "")}},
			samples:  []probes.Sample{sample(newest, 2, "a", "sre")},
			observed: "a",
		},
		{
			name:   "no metric",
			give:   probes.Result{Samples: []probes.Sample{sample(nil, 1, "a")}},
			faults: "host other",
		},
		{
			name:   "a metric that is not declared",
			give:   probes.Result{Samples: []probes.Sample{sample(elsewhere, 1, "a"), sample(sameName, 1, "b")}},
			faults: "a other, b other",
		},
		{
			name:   "a metric that could break a scrape or a rule",
			give:   probes.Result{Samples: []probes.Sample{sample(job, 1, "a", "x"), sample(private, 1, "x"), sample(broken, 1, "b"), sample(taken, 1, "c")}},
			faults: "a other, b other, c other, host other",
		},
		{
			name:     "another number of labels",
			give:     probes.Result{Samples: []probes.Sample{sample(newest, 1, "a"), sample(newest, 1), sample(changes, 1, "x", "y"), sample(newest, 1, "b", "")}},
			samples:  []probes.Sample{sample(newest, 1, "b", "sre")},
			faults:   "a other, host other",
			observed: "b",
		},
		{
			name: "values that are no value",
			give: probes.Result{Samples: []probes.Sample{
				sample(newest, math.NaN(), "nan", ""), sample(newest, math.Float64frombits(0x7ff0000000000002), "stale", ""),
				sample(newest, math.Inf(-1), "inf", ""), sample(newest, -1, "negative", ""), sample(changes, -1, "falling"),
			}},
			samples:  []probes.Sample{sample(newest, -1, "negative", "sre")},
			faults:   "host malformed, inf malformed, nan malformed, stale malformed",
			observed: "negative",
		},
		{
			name:   "a value outside a closed set, beside one inside it",
			give:   probes.Result{Samples: []probes.Sample{sample(state, 1, "a", "sda", "good"), sample(state, 1, "a", "sda", "ugly")}},
			faults: "a malformed", samples: []probes.Sample{sample(state, 1, "a", "sda", "good")},
		},
		{
			name:    "the first of two samples with the same labels stays, whatever lies between them",
			give:    probes.Result{Samples: []probes.Sample{sample(newest, 2, "b", ""), sample(newest, 1, "a", ""), sample(newest, 3, "b", "sre")}},
			samples: []probes.Sample{sample(newest, 1, "a", "sre"), sample(newest, 2, "b", "sre")},
			faults:  "b malformed", observed: "a",
		},
		{
			name:   "two names that become one when they are shown",
			give:   probes.Result{Samples: []probes.Sample{sample(newest, 1, "a\xff", ""), sample(newest, 2, `a\xff`, "")}},
			faults: `a\xff malformed`, samples: []probes.Sample{sample(newest, 1, `a\xff`, "sre")},
		},
		{
			name:   "an object without a name",
			give:   probes.Result{Samples: []probes.Sample{sample(newest, 1, "", "")}, Faults: []probes.Fault{{Reason: probes.Locked, Err: locked}}},
			faults: "host locked, host other",
		},
		{
			name: "names are shown alike in facts, faults, observations and removals, and descriptions are cut",
			give: probes.Result{
				Samples: []probes.Sample{sample(info, 1, "a\xff", strings.Repeat("x", 200)), sample(info, 1, "b\xff", "\xff")},
				Faults:  []probes.Fault{{Object: "a\xff", Reason: probes.Locked, Err: locked}}, Seen: []string{"c\xff"}, Removed: []string{"d\xff"},
			},
			samples:  []probes.Sample{sample(info, 1, `a\xff`, strings.Repeat("x", 128)), sample(info, 1, `b\xff`, `\xff`)},
			faults:   `a\xff locked`,
			observed: `b\xff c\xff`, gone: `d\xff`,
		},
		{
			name: "an object that is seen and removed has a fault; a removed one with a fault is not gone",
			give: probes.Result{
				Samples: []probes.Sample{sample(newest, 1, "a", "")}, Seen: []string{"b"}, Removed: []string{"a", "b", "c", "d"},
				Faults: []probes.Fault{{Object: "c", Reason: probes.Locked, Err: locked}},
			},
			samples: []probes.Sample{sample(newest, 1, "a", "sre")},
			faults:  "a other, b other, c locked", gone: "d",
		},
		{
			name: "faults count once by object and reason, and an unknown reason is other",
			give: probes.Result{Faults: []probes.Fault{
				{Object: "b", Reason: "lost", Err: locked},
				{Object: "a", Reason: probes.Locked, Err: locked},
				{Object: "a", Reason: probes.Locked},
				{Object: "a", Reason: probes.Auth},
			}},
			faults: "a auth, a locked, b other",
		},
		{
			name:    "a fact of the host observes the host",
			give:    probes.Result{Samples: []probes.Sample{sample(changes, 4, "added")}},
			samples: []probes.Sample{sample(changes, 4, "added")}, observed: "host",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			given := fmt.Sprint(test.give)
			test.give.Samples = append(slices.Clone(test.give.Samples), good)
			got := s.digest(test.give, "sre")
			want := slices.SortedFunc(slices.Values(append(test.samples, good)), compareSamples)
			if diff := cmp.Diff(want, got.samples); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
			var faults []string
			for _, f := range got.faults {
				faults = append(faults, fmt.Sprintf("%s %s", f.Object, f.Reason))
				if f.Err == nil {
					t.Errorf("the fault of %q has no error", f.Object)
				}
			}
			if got := strings.Join(faults, ", "); got != test.faults {
				t.Errorf("faults %q, want %q", got, test.faults)
			}
			delete(got.observed, "good")
			if got := set(got.observed); got != test.observed {
				t.Errorf("observed %q, want %q", got, test.observed)
			}
			if got := set(got.gone); got != test.gone {
				t.Errorf("gone %q, want %q", got, test.gone)
			}
			test.give.Samples = test.give.Samples[:len(test.give.Samples)-1]
			if fmt.Sprint(test.give) != given {
				t.Errorf("the result of the probe was changed")
			}
		})
	}
}

func set(objects map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(objects)), " ")
}

func TestDigestIsBounded(t *testing.T) {
	var r probes.Result
	for i := range sampleLimit + 10 {
		r.Add(newest, 1, fmt.Sprintf("%07d", i/2), fmt.Sprint("owner", i))
	}
	r.Add(newest, 1, "0000000", "late") // seen before, and not whole
	for i := range faultLimit + 10 {
		r.Fault(fmt.Sprintf("%07d", 50_000+i), errors.New("broken"))
	}
	r.Gone("0060005") // its fault is left out
	d := newSchema(testSpec("test").Metrics, map[string]bool{}).digest(r, "")
	if len(d.gone) > 0 {
		t.Errorf("gone are %v, one of which has a fault", d.gone)
	}
	if len(d.samples) != sampleLimit || len(d.faults) != faultLimit+1 {
		t.Errorf("%d samples and %d faults are kept", len(d.samples), len(d.faults))
	}
	tail := d.faults[len(d.faults)-1]
	want := fmt.Sprintf("%d samples, of which only %d are used\n%d faults, of which only %d are used",
		sampleLimit+11, sampleLimit, faultLimit+10, faultLimit)
	if tail.Object != probes.HostObject || tail.Reason != probes.TooLarge || tail.Err.Error() != want {
		t.Errorf("the agent says %s %s: %v; want %s", tail.Object, tail.Reason, tail.Err, want)
	}
	for object, want := range map[string]bool{
		"0000000": false, // a sample was left out
		"0000001": true,
		"0050000": false, // a fault that is kept
		"0060005": false, // a fault that is not
		"0060010": true,
		"0100001": false, // never reached
	} {
		if d.observed[object] != want {
			t.Errorf("object %s is observed: %v", object, d.observed[object])
		}
	}
}

// FuzzDigest: whatever a probe says, what is kept is valid and unique, the
// faults name what was refused, and no object is both sound and unsound.
func FuzzDigest(f *testing.F) {
	f.Add("a", "web", "good", 1.0, uint8(0))
	f.Add("a\xff", "", "ugly", math.NaN(), uint8(0xff))
	f.Add("", "\xff", "bad", math.Inf(1), uint8(0x55))
	f.Fuzz(func(t *testing.T, object, owner, which string, value float64, pick uint8) {
		var r probes.Result
		r.Add(newest, value, object, owner)
		r.Add(state, value, object, owner, which)
		r.Add(info, value, which, object)
		r.Add(changes, value, which)
		for bit, add := range []func(){
			func() { r.Add(newest, 1, object, owner) },
			func() { r.Add(info, 1, object) },
			func() { r.Gone(object) },
			func() { r.Observe(which) },
			func() { r.Fault(which, errors.New(owner)) },
		} {
			if pick&(1<<bit) != 0 {
				add()
			}
		}
		d := newSchema(testSpec("test").Metrics, map[string]bool{}).digest(r, owner)
		for i, s := range d.samples {
			if i > 0 && compareSamples(d.samples[i-1], s) >= 0 {
				t.Errorf("%v follows %v", s, d.samples[i-1])
			}
			if len(s.Labels) != len(s.Metric.Labels) || math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
				t.Errorf("kept %v", s)
			}
			for _, label := range s.Labels {
				if visible(label) != label || len(label) > identityLimit {
					t.Errorf("kept the label %q", label)
				}
			}
		}
		if len(d.samples) < len(r.Samples) && len(d.faults) == 0 {
			t.Errorf("%d of %d samples are kept, and nothing is said", len(d.samples), len(r.Samples))
		}
		for _, fault := range d.faults {
			if d.observed[fault.Object] || d.gone[fault.Object] {
				t.Errorf("%q has a fault and is sound", fault.Object)
			}
		}
		for object := range d.gone {
			if d.observed[object] {
				t.Errorf("%q is observed and gone", object)
			}
		}
		encoded := encode(families(d.samples), accepted()[1])
		if strings.Count(string(encoded), "\nhygiene") < len(d.samples) {
			t.Errorf("%d samples are shown as\n%s", len(d.samples), encoded)
		}
	})
}
