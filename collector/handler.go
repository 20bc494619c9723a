package collector

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// A FamilySource is a further part of the exposition, such as the problems. The
// version changes whenever the families do; while it stays, their encoded form
// is used again. The families must not be changed once returned, and no family
// has the name of one of the collector or of another source. A source is called
// for each scrape, by several goroutines at once, and must not block.
type FamilySource func() (families []*dto.MetricFamily, version uint64)

// Gatherer returns the exposition as families. Nobody may change them.
func (c *Collector) Gatherer(extra ...FamilySource) prometheus.Gatherer {
	sources := newSources(extra)
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		var all []*dto.MetricFamily
		for _, s := range c.segments(sources) {
			all = append(all, s.families...)
		}
		slices.SortStableFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
		return all, nil
	})
}

// Handler serves the exposition in the text format, OpenMetrics or protobuf,
// compressed if the client accepts that. It reads what is published, runs
// nothing, and always answers with the whole of it.
func (c *Collector) Handler(extra ...FamilySource) http.Handler {
	sources := newSources(extra)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		wanted := shape{
			format: expfmt.NegotiateAccept(r.Header, accepted()...),
			gzip:   acceptsGzip(r.Header.Values("Accept-Encoding")),
		}
		c.encoding.use(wanted)
		segments := c.segments(sources)
		if wanted.format.FormatType() == expfmt.TypeOpenMetrics {
			segments = append(segments, endOfFile(wanted.format))
		}
		parts := c.parts(segments, wanted)
		header := w.Header()
		header.Set("Content-Type", string(wanted.format))
		header.Set("Content-Length", strconv.Itoa(length(parts)))
		header.Add("Vary", "Accept, Accept-Encoding")
		if wanted.gzip {
			header.Set("Content-Encoding", "gzip")
		}
		if r.Method == http.MethodHead {
			return
		}
		for _, part := range parts {
			if _, err := w.Write(part); err != nil {
				return // the client is gone
			}
		}
	})
}

// accepted lists the formats that are offered.
func accepted() []expfmt.Format {
	return []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtText, expfmt.FmtProtoDelim}
}

// endOfFile is the last line of OpenMetrics, without which it is incomplete.
func endOfFile(format expfmt.Format) *segment {
	var buffer bytes.Buffer
	_, _ = expfmt.FinalizeOpenMetrics(&buffer) // writing to memory does not fail
	s := newSegment(nil)
	end := &body{plain: buffer.Bytes()}
	end.encode.Do(func() {})
	s.bodies[format] = end
	return s
}

// segments returns the exposition of now.
func (c *Collector) segments(sources []*source) []*segment {
	snapshot, p := c.snapshot()
	segments := append(p.segments(), newSegment(families(snapshot.Reports[AgentProbe].Samples)))
	for _, s := range sources {
		segments = append(segments, s.segment())
	}
	return segments
}

// segments returns the exposition of the probes, in the order of their names.
func (p *publication) segments() []*segment {
	segments := make([]*segment, 0, len(p.generation.workers))
	for _, w := range p.generation.workers {
		segments = append(segments, p.exposed[w.name].segment)
	}
	return segments
}

// parts returns what to send. A compressed answer is one gzip member: a header,
// the parts of the deflate stream, an empty last block, and the checksum.
func (c *Collector) parts(segments []*segment, wanted shape) [][]byte {
	parts := make([][]byte, 0, len(segments)+2)
	if !wanted.gzip {
		for _, s := range segments {
			parts = append(parts, c.encoding.body(s, wanted).plain)
		}
		return parts
	}
	var sum, size uint32
	parts = append(parts, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	for _, s := range segments {
		b := c.encoding.body(s, wanted)
		parts = append(parts, b.deflated)
		sum = crc32.Update(sum, crc32.IEEETable, b.plain)
		size += uint32(len(b.plain)) // modulo 2^32, as RFC 1952 wants it
	}
	end := []byte{1, 0, 0, 0xff, 0xff}
	end = binary.LittleEndian.AppendUint32(end, sum)
	return append(parts, binary.LittleEndian.AppendUint32(end, size))
}

func length(parts [][]byte) int {
	total := 0
	for _, part := range parts {
		total += len(part)
	}
	return total
}

// acceptsGzip reads the header Accept-Encoding.
func acceptsGzip(headers []string) bool {
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			coding, parameter, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			name, value, found := strings.Cut(strings.TrimSpace(parameter), "=")
			quality, err := strconv.ParseFloat(value, 64)
			return !found || name != "q" || err == nil && quality > 0
		}
	}
	return false
}

// A source remembers the encoded form of a FamilySource.
type source struct {
	read FamilySource

	mu      sync.Mutex
	version uint64
	last    *segment
}

func newSources(read []FamilySource) []*source {
	sources := make([]*source, 0, len(read))
	for _, r := range read {
		sources = append(sources, &source{read: r})
	}
	return sources
}

func (s *source) segment() *segment {
	families, version := s.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.version != version {
		s.last, s.version = newSegment(families), version
	}
	return s.last
}
