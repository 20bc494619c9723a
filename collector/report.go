package collector

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// An attempt is one finished run of a probe, as it was handed over.
type attempt struct {
	start, end time.Time
	result     probes.Result
	err        error
}

// A memory is what a report must know of the runs before it.
type memory struct {
	fresh []probes.Sample // of the last good run, sorted
	kept  []probes.Sample // of faulted objects, from earlier runs, sorted
	// good is the start of the last good run, and lastGood that of the run
	// which last observed an object that has a fault now.
	good     time.Time
	lastGood map[string]time.Time
	// applicable is what the last run that did not fail said; known says
	// whether there was one.
	applicable, known bool

	reasons map[probes.Reason]int // how many objects have a fault of each reason
	oldest  []Fault               // at most shownFaults of the faults
}

// after returns the report that follows r when this run of its probe finished.
//
//   - A good run replaces all facts. Objects with a fault keep those of their
//     older facts that the run does not replace, until they are older than age,
//     counted from the start of the run that last saw the object without one.
//   - A failed run leaves facts and faults as they are; the facts of the last
//     good run are dropped when they are older than age.
//   - Where the probe is not applicable, there are neither facts nor faults.
func (r *Report) after(a attempt, s *schema, settings probes.Settings) *Report {
	next := &Report{
		Probe: r.Probe, Run: r.Run + 1, Changed: r.Changed,
		LastRun: a.end, LastSuccess: r.LastSuccess, Duration: a.end.Sub(a.start),
	}
	switch {
	case errors.Is(a.err, probes.ErrNotApplicable):
		next.Outcome, next.LastSuccess = NotApplicable, a.end
		next.memory.known = true
	case a.err != nil:
		next.Outcome, next.Err = Failed, a.err
		next.hold(r, a.end, settings.Age())
	default:
		next.Outcome, next.LastSuccess = Succeeded, a.end
		next.learn(r, a, s.digest(a.result, settings.Owner))
		next.keep(r, a.end, keeping{s, settings.Age()})
		next.memory.known, next.memory.applicable = true, true
	}
	next.settle(r)
	return next
}

// hold takes over what the last good run left, as far as it is not too old.
func (r *Report) hold(prev *Report, now time.Time, age time.Duration) {
	r.Faults, r.observed, r.gone, r.memory = prev.Faults, prev.observed, prev.gone, prev.memory
	if now.Sub(prev.memory.good) >= age {
		r.memory.fresh = nil
	}
	r.memory.kept = filter(prev.memory.kept, func(sample probes.Sample) bool {
		return now.Sub(prev.memory.lastGood[sample.Object()]) < age
	})
}

// learn takes over what a good run says.
func (r *Report) learn(prev *Report, a attempt, d digest) {
	r.observed, r.gone = d.observed, d.gone
	r.memory.fresh, r.memory.good = d.samples, a.start
	r.memory.lastGood = make(map[string]time.Time)
	for _, fault := range d.faults {
		r.Faults = append(r.Faults, Fault{Fault: fault, Since: prev.since(fault, a.start)})
		if last, known := prev.lastGood(fault.Object); known {
			r.memory.lastGood[fault.Object] = last
		}
	}
	r.countFaults()
}

// countFaults prepares what the agent says of the faults.
func (r *Report) countFaults() {
	r.memory.reasons = make(map[probes.Reason]int)
	for _, fault := range r.Faults {
		r.memory.reasons[fault.Reason]++
	}
	oldest := slices.SortedStableFunc(slices.Values(r.Faults), func(a, b Fault) int { return a.Since.Compare(b.Since) })
	r.memory.oldest = slices.Clone(oldest[:min(len(oldest), shownFaults)])
}

// keeping says which older samples may stay.
type keeping struct {
	schema *schema
	age    time.Duration
}

// keep looks up the older facts of the objects that have a fault now.
func (r *Report) keep(prev *Report, now time.Time, k keeping) {
	if len(r.memory.lastGood) == 0 {
		return
	}
	wanted := func(sample probes.Sample) bool {
		last, faulted := r.memory.lastGood[sample.Object()]
		if !faulted || now.Sub(last) >= k.age {
			return false
		}
		_, replaced := slices.BinarySearchFunc(r.memory.fresh, sample, compareSamples)
		return !replaced
	}
	for _, older := range [][]probes.Sample{prev.memory.fresh, prev.memory.kept} {
		for _, sample := range filter(older, wanted) {
			// After a reload the metric may be another one of the same name.
			if d := k.schema.declared(sample.Metric); d != nil && d.err == nil {
				sample.Metric = d.metric
				r.memory.kept = append(r.memory.kept, sample)
			}
		}
	}
	slices.SortFunc(r.memory.kept, compareSamples)
}

// settle completes a report. What is as it was shares the memory of the report
// before.
func (r *Report) settle(prev *Report) {
	if slices.EqualFunc(r.memory.fresh, prev.memory.fresh, sameSample) {
		r.memory.fresh = prev.memory.fresh
	}
	r.Samples = r.memory.fresh
	if len(r.memory.kept) > 0 {
		r.Samples = slices.Concat(r.memory.fresh, r.memory.kept)
		slices.SortFunc(r.Samples, compareSamples)
	}
	if slices.EqualFunc(r.Samples, prev.Samples, sameSample) {
		r.Samples = prev.Samples
	}
	if r.Outcome != prev.Outcome || !sameSlice(r.Samples, prev.Samples) || !slices.EqualFunc(r.Faults, prev.Faults, sameFault) {
		r.Changed = r.Run
	}
}

// lastGood returns the start of the run that last observed the object.
func (r *Report) lastGood(object string) (time.Time, bool) {
	if last, known := r.memory.lastGood[object]; known {
		return last, true
	}
	return r.memory.good, r.observed[object]
}

// since returns when a fault began that is there now.
func (r *Report) since(fault probes.Fault, now time.Time) time.Time {
	i, found := slices.BinarySearchFunc(r.Faults, fault, func(known Fault, fault probes.Fault) int {
		return cmp.Or(strings.Compare(known.Object, fault.Object), strings.Compare(string(known.Reason), string(fault.Reason)))
	})
	if found {
		return r.Faults[i].Since
	}
	return now
}

// faulted reports whether a fault of the object is in force.
func (r *Report) faulted(object string) bool {
	_, found := slices.BinarySearchFunc(r.Faults, object, func(known Fault, object string) int {
		return strings.Compare(known.Object, object)
	})
	return found
}

func sameSample(a, b probes.Sample) bool {
	return a.Metric == b.Metric && a.Value == b.Value && slices.Equal(a.Labels, b.Labels)
}

func sameFault(a, b Fault) bool { return a.Object == b.Object && a.Reason == b.Reason }

// sameSlice reports whether two slices are one.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func filter[T any](list []T, wanted func(T) bool) []T {
	var some []T
	for _, item := range list {
		if wanted(item) {
			some = append(some, item)
		}
	}
	return some
}

// has reports whether the same fault is in force.
func (r *Report) has(fault Fault) bool {
	return !r.since(fault.Fault, time.Time{}).IsZero()
}
