package collector

import (
	"bytes"
	"compress/flate"
	"maps"
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// A segment is a part of the exposition that changes as a whole: the families
// of one source. Its encoded forms are made at most once.
type segment struct {
	families []*dto.MetricFamily

	mu     sync.Mutex
	bodies map[expfmt.Format]*body
}

func newSegment(families []*dto.MetricFamily) *segment {
	return &segment{families: families, bodies: make(map[expfmt.Format]*body)}
}

// A body is a segment in one format.
type body struct {
	encode, deflate sync.Once
	plain           []byte
	deflated        []byte // blocks of a deflate stream that may be continued
}

func (s *segment) body(format expfmt.Format) *body {
	s.mu.Lock()
	b := s.bodies[format]
	if b == nil {
		b = new(body)
		s.bodies[format] = b
	}
	s.mu.Unlock()
	b.encode.Do(func() { b.plain = encode(s.families, format) })
	return b
}

// encode writes the families one after the other. One that cannot be encoded is
// left out, and harms no other.
func encode(families []*dto.MetricFamily, format expfmt.Format) []byte {
	var buffer bytes.Buffer
	encoder := expfmt.NewEncoder(&buffer, format)
	for _, family := range families {
		end := buffer.Len()
		if encoder.Encode(family) != nil {
			buffer.Truncate(end)
		}
	}
	return buffer.Bytes()
}

// A shape is what a scraper wants.
type shape struct {
	format expfmt.Format
	gzip   bool
}

// remembered is how long a shape is kept ready after it was last asked for.
const remembered = 5 * time.Minute

// An encoding knows which shapes are in use.
type encoding struct {
	deflaters sync.Pool

	mu   sync.Mutex
	used map[shape]time.Time
}

func newEncoding() *encoding {
	return &encoding{
		used: make(map[shape]time.Time),
		deflaters: sync.Pool{New: func() any {
			w, err := flate.NewWriter(nil, flate.BestSpeed)
			if err != nil {
				panic(err) // the level is a constant
			}
			return w
		}},
	}
}

// body returns a segment in the wanted shape.
func (e *encoding) body(s *segment, wanted shape) *body {
	b := s.body(wanted.format)
	if wanted.gzip {
		b.deflate.Do(func() { b.deflated = e.deflate(b.plain) })
	}
	return b
}

// deflate compresses a part of a stream. It ends at a byte boundary without
// ending the stream, and refers to nothing before it, so that parts can be
// joined in any order.
func (e *encoding) deflate(plain []byte) []byte {
	var buffer bytes.Buffer
	w := e.deflaters.Get().(*flate.Writer)
	defer e.deflaters.Put(w)
	w.Reset(&buffer)
	// Writing to memory does not fail.
	_, _ = w.Write(plain)
	_ = w.Flush()
	return buffer.Bytes()
}

// use remembers that somebody scrapes in this shape.
func (e *encoding) use(s shape) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used[s] = time.Now()
}

// warm encodes segments in the shapes that are in use.
func (e *encoding) warm(segments []*segment) {
	e.mu.Lock()
	maps.DeleteFunc(e.used, func(_ shape, last time.Time) bool { return time.Since(last) > remembered })
	shapes := slices.Collect(maps.Keys(e.used))
	e.mu.Unlock()
	for _, s := range segments {
		for _, shape := range shapes {
			e.body(s, shape)
		}
	}
}
