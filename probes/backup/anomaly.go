package backup

import (
	"math"
	"slices"

	"hygiene_exporter/probes/backup/job"
)

// history returns the points before one that it can be compared with: of the
// same type and not bad, the newest first.
func (r *record) history(key string) []*pointRecord {
	point := r.Points[key]
	var list []*pointRecord
	for k, p := range r.Points {
		if k != key && p.Type == point.Type && p.Bad == nil && p.At.Before(point.At) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *pointRecord) int { return b.At.Compare(a.At) })
	return list[:min(len(list), maxHistory)]
}

// sameDay is how many points of the same day of the week are enough to compare
// with these alone: what is larger every Sunday is normal on a Sunday.
const sameDay = 4

// spread turns a median absolute deviation into what five standard deviations
// would be for normal values.
const spread = 5 * 1.4826

// expect returns between which bounds a count should be, by the median of
// earlier ones and how much they vary. It says nothing about the first backups.
func (a Anomaly) expect(point pointRecord, history []*pointRecord, count func(*pointRecord) job.Count) (low, high float64, ok bool) {
	if a.After == 0 {
		return 0, 0, false
	}
	var values, days []float64
	for _, p := range history {
		c := count(p)
		if !c.Known {
			continue
		}
		values = append(values, float64(c.N))
		if p.At.Weekday() == point.At.Weekday() {
			days = append(days, float64(c.N))
		}
	}
	if len(values) < a.After {
		return 0, 0, false
	}
	if len(days) >= sameDay {
		values = days
	}
	middle := median(values)
	deviations := make([]float64, len(values))
	for i, value := range values {
		deviations[i] = math.Abs(value - middle)
	}
	room := max(spread*median(deviations), middle*a.Tolerance.Percent/100)
	return max(0, middle-room), middle + room, true
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
