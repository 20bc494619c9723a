package probes

import "time"

// A Result holds what one run learned: facts, the places it could not look,
// and what was deliberately removed. The zero value is ready to use.
//
// An object counts as observed when the run holds a sample of it, or when
// Observe named it, and no fault does. Only an observed or a removed object can
// end a problem, so a Result must never claim more than was seen.
type Result struct {
	Samples []Sample
	Faults  []Fault
	Seen    []string // objects named by Observe
	Removed []string // objects named by Gone
}

// Add records one value. Labels are given in the order in which the metric
// declares them; the collector refuses a sample that does not fit, alone.
func (r *Result) Add(m *Metric, value float64, labels ...string) {
	r.Samples = append(r.Samples, Sample{Metric: m, Value: value, Labels: labels})
}

// AddTime records an instant in seconds since the epoch. The zero time means
// unknown, and unknown is absent: nothing is recorded.
func (r *Result) AddTime(m *Metric, t time.Time, labels ...string) {
	if !t.IsZero() {
		r.Add(m, Seconds(t), labels...)
	}
}

// Seconds converts an instant to seconds since the epoch.
func Seconds(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond())/1e9
}

// Fault records that an object should have been inspected and could not be.
// The reason is derived from err (see ReasonOf).
func (r *Result) Fault(object string, err error) {
	r.Faults = append(r.Faults, Fault{Object: object, Reason: ReasonOf(err), Err: err})
}

// Observe records that an object without samples of its own, such as a
// directory, was looked at and is in order.
func (r *Result) Observe(object string) {
	r.Seen = append(r.Seen, object)
}

// Gone records that an object was deliberately removed: the place where it
// would be was read, and it is not there; or no configuration names it any
// more. It must be reported by every run for at least a day, so that no crash
// between two runs can lose it.
func (r *Result) Gone(object string) {
	r.Removed = append(r.Removed, object)
}
