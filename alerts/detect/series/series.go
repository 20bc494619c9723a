// Package series holds the smallest store that the query engine of Prometheus
// can read: samples and series that are in memory already.
package series

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Of returns a set of these series, which must be sorted by their labels.
func Of(sorted []storage.Series) storage.SeriesSet { return &set{rest: sorted} }

// set walks through series.
type set struct {
	current storage.Series
	rest    []storage.Series
}

func (s *set) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.current, s.rest = s.rest[0], s.rest[1:]
	return true
}

func (s *set) At() storage.Series                { return s.current }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// A Point is one sample of a number.
type Point struct {
	Time  int64 // in milliseconds since the epoch
	Value float64
}

// T returns the time of the sample.
func (p Point) T() int64 { return p.Time }

// ST returns the start of a counter, which is not known.
func (p Point) ST() int64 { return 0 }

// F returns the number.
func (p Point) F() float64 { return p.Value }

// H returns nothing: a Point is no histogram.
func (p Point) H() *histogram.Histogram { return nil }

// FH returns nothing: a Point is no histogram.
func (p Point) FH() *histogram.FloatHistogram { return nil }

// Type says that the sample is a number.
func (p Point) Type() chunkenc.ValueType { return chunkenc.ValFloat }

// Copy returns the sample, which nobody can change.
func (p Point) Copy() chunks.Sample { return p }
