package probes_test

import (
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hygiene_exporter/probes"
)

func TestAResultHoldsWhatWasSaid(t *testing.T) {
	m := &probes.Metric{Name: "hygiene_x_y", Labels: []string{"object", "member"}}
	host := &probes.Metric{Name: "hygiene_x_z"}
	var r probes.Result
	r.Add(m, 2, "a", "b")
	r.AddTime(host, time.Unix(10, 500e6))
	r.AddTime(host, time.Time{}) // unknown is absent
	r.Fault("c", fs.ErrNotExist)
	r.Observe("d")
	r.Gone("e")
	want := probes.Result{
		Samples: []probes.Sample{{Metric: m, Value: 2, Labels: []string{"a", "b"}}, {Metric: host, Value: 10.5}},
		Faults:  []probes.Fault{{Object: "c", Reason: probes.NotFound, Err: fs.ErrNotExist}},
		Seen:    []string{"d"},
		Removed: []string{"e"},
	}
	if diff := cmp.Diff(want, r, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := []string{r.Samples[0].Object(), r.Samples[1].Object(), r.Samples[0].Label("member"), r.Samples[0].Label("none")}; !cmp.Equal(got, []string{"a", "host", "b", ""}) {
		t.Errorf("labels are %q", got)
	}
}
