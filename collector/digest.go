package collector

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hygiene_exporter/probes"
)

// What one run may leave in memory.
const (
	sampleLimit = 200_000
	faultLimit  = 10_000
)

// errContradiction is the fault of an object that a run both saw and reported
// removed: whichever is wrong, the run cannot be evidence for the object.
var errContradiction = errors.New("seen and reported removed by the same run")

// A digest is what is left of the Result of one run: everything in it is valid.
// A sample that is refused is refused alone, and becomes a fault of its object.
type digest struct {
	samples  []probes.Sample // unique, in the order of compareSamples
	faults   []probes.Fault  // unique by object and reason, in that order
	observed map[string]bool // objects seen whole and without a fault
	gone     map[string]bool // objects reported removed, and neither seen nor faulted
}

// digest checks a result. It keeps no reference to the slices of the result,
// but shares label values with it, which the probe must not change.
func (s *schema) digest(result probes.Result, owner string) digest {
	w := &work{
		schema:  s,
		owner:   owner,
		samples: make(map[*declaration][]probes.Sample),
		seen:    make(map[string]bool),
		partial: make(map[string]bool),
		faults:  make(map[faultKey]probes.Fault),
		faulted: make(map[string]bool),
	}
	for _, fault := range result.Faults {
		w.blame(identityOrHost(fault.Object), fault.Reason, fault.Err)
	}
	w.takeSamples(result.Samples)
	for _, object := range within(result.Seen) {
		w.seen[identityOrHost(object)] = true
	}
	var d digest
	d.samples = w.sorted()
	d.gone = w.removed(within(result.Removed))
	w.countLost(result)
	d.faults = w.listFaults()
	d.observed = w.observed()
	return d
}

// work is a digest in the making.
type work struct {
	schema *schema
	owner  string

	samples map[*declaration][]probes.Sample
	seen    map[string]bool // objects with a sample, or named by Observe
	partial map[string]bool // objects of which something was left out
	faults  map[faultKey]probes.Fault
	faulted map[string]bool
	lost    int // faults above the limit
}

type faultKey struct {
	object string
	reason probes.Reason
}

// blame records a fault. The first error of an object and reason stands for
// all of them.
func (w *work) blame(object string, reason probes.Reason, err error) {
	if !slices.Contains(probes.Reasons(), reason) {
		reason = probes.Other
	}
	key := faultKey{object, reason}
	if _, known := w.faults[key]; known {
		return
	}
	if len(w.faults) >= faultLimit {
		w.lost++
		w.partial[object] = true
		return
	}
	if err == nil {
		err = errors.New("no error was given")
	}
	w.faults[key] = probes.Fault{Object: object, Reason: reason, Err: err}
	w.faulted[object] = true
}

func (w *work) refuse(sample probes.Sample, err error) {
	object, name := probes.HostObject, ""
	if sample.Metric != nil {
		object, name = identity(sample.Object()), sample.Metric.Name
	}
	w.blame(object, probes.ReasonOf(err), fmt.Errorf("refused a sample of %.80q: %w", name, err))
}

func (w *work) takeSamples(samples []probes.Sample) {
	count := make(map[*probes.Metric]int)
	for _, sample := range within(samples) {
		count[sample.Metric]++
	}
	last := ""
	for _, sample := range within(samples) {
		d := w.schema.declared(sample.Metric)
		if d == nil {
			w.refuse(sample, errors.New("the metric is not declared"))
			continue
		}
		clean, err := d.admit(sample, w.owner)
		if err != nil {
			w.refuse(sample, err)
			continue
		}
		if w.samples[d] == nil {
			w.samples[d] = make([]probes.Sample, 0, count[sample.Metric])
		}
		w.samples[d] = append(w.samples[d], clean)
		if object := clean.Object(); object != last {
			w.seen[object] = true
			last = object
		}
	}
	for _, sample := range samples[len(within(samples)):] {
		if sample.Metric != nil {
			w.partial[identity(sample.Object())] = true
		}
	}
}

// sorted returns the samples in order, and refuses those that have the same
// metric and labels as an earlier one.
func (w *work) sorted() []probes.Sample {
	total := 0
	for _, samples := range w.samples {
		total += len(samples)
	}
	all := make([]probes.Sample, 0, total)
	for _, d := range w.schema.declarations() {
		samples := w.samples[d]
		start := len(all)
		for _, i := range order(samples) {
			if len(all) > start && slices.Equal(all[len(all)-1].Labels, samples[i].Labels) {
				w.refuse(samples[i], probes.Because(probes.Malformed, fmt.Errorf("another has the same labels %.80q", samples[i].Labels)))
				continue
			}
			all = append(all, samples[i])
		}
	}
	return all
}

// order returns the indices of the samples of one metric, sorted by labels and
// by position among equals. Most probes add their objects in order already.
func order(samples []probes.Sample) []int {
	indices := make([]int, len(samples))
	for i := range indices {
		indices[i] = i
	}
	byLabels := func(a, b int) int {
		return cmp.Or(slices.Compare(samples[a].Labels, samples[b].Labels), cmp.Compare(a, b))
	}
	if !slices.IsSortedFunc(indices, byLabels) {
		slices.SortFunc(indices, byLabels)
	}
	return indices
}

// removed decides what the reports of removal are worth: an object that has a
// fault could not be looked at, and one that was seen contradicts its report.
func (w *work) removed(objects []string) map[string]bool {
	gone := make(map[string]bool)
	for _, object := range objects {
		object = identityOrHost(object)
		switch {
		case w.faulted[object] || w.partial[object]:
		case w.seen[object]:
			w.blame(object, probes.Other, errContradiction)
		default:
			gone[object] = true
		}
	}
	return gone
}

// countLost turns what did not fit into a fault of the host, which is always
// recorded.
func (w *work) countLost(result probes.Result) {
	var errs []error
	for _, list := range []struct {
		what  string
		count int
		limit int
	}{
		{"samples", len(result.Samples), sampleLimit},
		{"observed objects", len(result.Seen), sampleLimit},
		{"removed objects", len(result.Removed), sampleLimit},
		{"faults", faultLimit + w.lost, faultLimit},
	} {
		if list.count > list.limit {
			errs = append(errs, fmt.Errorf("%d %s, of which only %d are used", list.count, list.what, list.limit))
		}
	}
	if len(errs) == 0 {
		return
	}
	key := faultKey{probes.HostObject, probes.TooLarge}
	w.faults[key] = probes.Fault{Object: key.object, Reason: key.reason, Err: errors.Join(errs...)}
	w.faulted[key.object] = true
}

func (w *work) listFaults() []probes.Fault {
	return slices.SortedFunc(maps.Values(w.faults), func(a, b probes.Fault) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(string(a.Reason), string(b.Reason)))
	})
}

func (w *work) observed() map[string]bool {
	maps.DeleteFunc(w.seen, func(object string, _ bool) bool { return w.faulted[object] || w.partial[object] })
	return w.seen
}

// identityOrHost returns the identity of an object of a fault or an
// observation, in which the host may go without a name.
func identityOrHost(object string) string {
	return identity(cmp.Or(object, probes.HostObject))
}

// within returns the part of a list that is below the limit.
func within[T any](list []T) []T { return list[:min(len(list), sampleLimit)] }

// compareSamples orders samples by name and labels, so that those of a family
// follow each other.
func compareSamples(a, b probes.Sample) int {
	if a.Metric != b.Metric {
		if order := strings.Compare(a.Metric.Name, b.Metric.Name); order != 0 {
			return order
		}
	}
	return slices.Compare(a.Labels, b.Labels)
}
