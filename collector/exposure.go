package collector

import (
	"cmp"
	"slices"
	"strings"

	"hygiene_exporter/probes"
)

// An exposure is what a scrape shows of one report. It is immutable.
type exposure struct {
	report    *Report
	limit     int // series of objects that may be shown
	samples   []probes.Sample
	truncated bool
	segment   *segment
}

// expose divides the budget among the reports. Whatever is shown as before
// keeps its encoded form.
func (c *Collector) expose(p *publication) map[string]*exposure {
	workers := p.generation.workers
	wants := make([]int, len(workers))
	for i, w := range workers {
		wants[i] = countObjectSeries(p.reports[w.name].Samples)
	}
	exposed := make(map[string]*exposure, len(workers))
	for i, limit := range share(c.options.SeriesLimit, wants) {
		name := workers[i].name
		report, prev := p.reports[name], p.exposed[name]
		if prev != nil && prev.report == report && prev.limit == limit {
			exposed[name] = prev
			continue
		}
		next := &exposure{report: report, limit: limit, samples: report.Samples}
		if wants[i] > limit {
			next.truncated = true
			next.samples = c.worst(report, limit)
		}
		if prev != nil && slices.EqualFunc(prev.samples, next.samples, sameSample) {
			next.samples, next.segment = prev.samples, prev.segment
		} else {
			next.segment = newSegment(families(next.samples))
		}
		exposed[name] = next
	}
	return exposed
}

// share divides a budget: nobody gets more than it wants, and what one leaves
// is divided evenly among the others.
func share(budget int, wants []int) []int {
	shares := make([]int, len(wants))
	byWant := make([]int, len(wants))
	for i := range byWant {
		byWant[i] = i
	}
	slices.SortStableFunc(byWant, func(a, b int) int { return cmp.Compare(wants[a], wants[b]) })
	for done, i := range byWant {
		shares[i] = min(wants[i], budget/(len(wants)-done))
		budget -= shares[i]
	}
	return shares
}

func countObjectSeries(samples []probes.Sample) int {
	count := 0
	var last *probes.Metric
	var named bool
	for _, sample := range samples {
		if sample.Metric != last {
			last = sample.Metric
			named = slices.Contains(last.Labels, probes.LabelObject)
		}
		if named {
			count++
		}
	}
	return count
}

// worst selects the samples to show when there are too many: all that have no
// object, and of the objects, the worst that fit, each of them whole.
func (c *Collector) worst(report *Report, limit int) []probes.Sample {
	type group struct {
		object   string
		series   int
		priority int
		faulted  bool
	}
	groups := make(map[string]*group)
	for _, sample := range report.Samples {
		object := sample.Label(probes.LabelObject)
		if object == "" {
			continue
		}
		g := groups[object]
		if g == nil {
			g = &group{object: object, faulted: report.faulted(object)}
			if c.options.Priority != nil {
				g.priority = c.options.Priority(report.Probe, object)
			}
			groups[object] = g
		}
		g.series++
	}
	ranked := make([]*group, 0, len(groups))
	for _, g := range groups {
		ranked = append(ranked, g)
	}
	slices.SortFunc(ranked, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(number(b.faulted), number(a.faulted)), strings.Compare(a.object, b.object))
	})
	shown := map[string]bool{"": true}
	for _, g := range ranked {
		if g.series <= limit {
			limit -= g.series
			shown[g.object] = true
		}
	}
	return filter(report.Samples, func(sample probes.Sample) bool { return shown[sample.Label(probes.LabelObject)] })
}
