package ledger

import (
	"maps"
	"slices"
	"time"
)

// A Check is a check of a probe.
type Check struct{ Probe, Check string }

// Statistics are the counts over all lives of the agent.
type Statistics struct {
	// Opened counts the problems that opened.
	Opened map[Check]uint64
	// Flaps counts those of them that came back within half an hour of closing.
	Flaps map[Check]uint64
	// Duration holds the time from opening to closing, by probe.
	Duration map[string]Histogram
	// TimeToAck holds the time from opening to the first ack, by probe.
	TimeToAck map[string]Histogram
}

// A Histogram counts time spans.
type Histogram struct {
	// Bounds holds the upper bounds of all buckets but the last, in seconds.
	Bounds []float64 `json:"bounds"`
	// Counts holds the number of spans in each bucket, and of those beyond.
	Counts []uint64 `json:"counts"`
	// Sum is the sum of all spans in seconds.
	Sum float64 `json:"sum"`
}

// Count returns the number of all spans.
func (h Histogram) Count() uint64 {
	var all uint64
	for _, n := range h.Counts {
		all += n
	}
	return all
}

// Cumulative returns the number of spans up to each bound, as Prometheus counts.
func (h Histogram) Cumulative() map[float64]uint64 {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var all uint64
	for i, bound := range h.Bounds {
		all += h.Counts[i]
		buckets[bound] = all
	}
	return buckets
}

// Statistics returns a copy of the counts.
func (l *Ledger) Statistics() Statistics {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Statistics{
		Opened:    maps.Clone(l.counts.opened),
		Flaps:     maps.Clone(l.counts.flaps),
		Duration:  l.counts.duration.clone(),
		TimeToAck: l.counts.timeToAck.clone(),
	}
}

type counts struct {
	opened    map[Check]uint64
	flaps     map[Check]uint64
	duration  histograms
	timeToAck histograms
}

func newCounts() counts {
	const minute, hour, day = 60, 3600, 86400
	return counts{
		opened: map[Check]uint64{},
		flaps:  map[Check]uint64{},
		duration: histograms{
			bounds: []float64{5 * minute, 15 * minute, hour, 4 * hour, day, 3 * day, 7 * day, 30 * day},
			of:     map[string]Histogram{},
		},
		timeToAck: histograms{
			bounds: []float64{minute, 5 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 8 * hour, day},
			of:     map[string]Histogram{},
		},
	}
}

// histograms holds one histogram for each probe, all with the same bounds.
type histograms struct {
	bounds []float64
	of     map[string]Histogram
}

func (h histograms) observe(probe string, span time.Duration) {
	one, ok := h.of[probe]
	if !ok {
		one = Histogram{Bounds: h.bounds, Counts: make([]uint64, len(h.bounds)+1)}
	}
	bucket, _ := slices.BinarySearch(h.bounds, span.Seconds())
	one.Counts[bucket]++
	one.Sum += span.Seconds()
	h.of[probe] = one
}

func (h histograms) clone() map[string]Histogram {
	all := make(map[string]Histogram, len(h.of))
	for probe, one := range h.of {
		one.Counts = slices.Clone(one.Counts)
		one.Bounds = slices.Clone(one.Bounds)
		all[probe] = one
	}
	return all
}

// restore takes over saved histograms. Those with other bounds cannot be
// continued: they begin again, which Prometheus takes for a counter reset.
func (h histograms) restore(saved map[string]Histogram) {
	for probe, one := range saved {
		if slices.Equal(one.Bounds, h.bounds) && len(one.Counts) == len(h.bounds)+1 {
			h.of[probe] = one
		}
	}
}
