package backup

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// report makes the facts of what is known. The caller holds the lock.
func (p *probe) report() probes.Result {
	var r probes.Result
	p.retire()
	now := p.now()
	failed := map[string]bool{}
	for _, place := range p.places {
		p.place(&r, place, now)
		if err := p.unseen(place); err != nil && !failed[place.job.Name] {
			failed[place.job.Name] = true
			r.Fault(place.job.Name, err)
		}
	}
	for i := range p.config.Jobs {
		j := &p.config.Jobs[i]
		r.Add(rpo, time.Duration(j.RPO).Seconds(), j.Name, j.Owner)
		p.countCopies(&r, j, now)
	}
	for _, format := range slices.Sorted(maps.Keys(p.passed)) {
		value := 0.0
		if p.passed[format] {
			value = 1
		}
		r.Add(selftestPassed, value, format)
	}
	p.gone(&r)
	return r
}

// unseen returns why a copy could not be seen. For somebody who looks once, that
// is also why it could not be judged: an agent lets that age, and has time for
// what was not checked yet. The caller holds the lock.
func (p *probe) unseen(place *place) error {
	if err := p.seen[place.name()].err; err != nil {
		if job.IsFlaw(err) {
			return nil
		}
		return err
	}
	answer := p.judge(place)
	reason := probes.Reason(answer.Reason)
	if answer.Verdict != job.Unknown || p.host.Work == probes.Scheduled || p.host.Work == probes.Never && reason == probes.NotRun {
		return nil
	}
	return probes.Because(reason, fmt.Errorf("copy %s: %s", place.conf.Name, answer.Detail))
}

// place adds what is known of one copy.
func (p *probe) place(r *probes.Result, place *place, now time.Time) {
	s, rec := p.seen[place.name()], p.ledger.copy(place.name(), now)
	name, copyName, owner := place.job.Name, place.conf.Name, place.job.Owner
	base := []string{name, copyName, owner}

	at, deadline := p.freshness(place)
	r.AddTime(newest, at, base...)
	r.AddTime(rpoDeadline, deadline, base...)
	r.AddTime(logArchived, s.Log, base...)
	if limit := time.Duration(place.job.LogRPO); limit > 0 {
		last := s.Log
		if last.IsZero() {
			last = rec.Since
		}
		r.AddTime(logDeadline, last.Add(limit), base...)
	}
	p.depths(r, place, rec)
	p.verdict(r, place, rec, now)
	for _, tool := range rec.Tools {
		r.Add(judgeInfo, 1, name, copyName, tool.Name, tool.Version)
	}
	p.sizes(r, place, rec, s)
	p.reading(r, place, rec, s, now)
	r.Add(verifiedBytes, float64(rec.Verified), base...)
	if objective := time.Duration(place.job.Restore.Objective); objective > 0 {
		r.Add(restoreObjective, objective.Seconds(), base...)
	}
	if rec.Restore.Bytes > 0 {
		seconds := rec.Restore.Duration.Seconds()
		if rec.Restore.Size > rec.Restore.Bytes {
			seconds *= float64(rec.Restore.Size) / float64(rec.Restore.Bytes)
		}
		r.Add(restoreDuration, seconds, base...)
	}
	r.AddTime(immutableUntil, s.Immutable, base...)
}

// freshness returns the time of the newest point that is not known to be bad,
// and when it is too old.
func (p *probe) freshness(place *place) (at, deadline time.Time) {
	s, r := p.seen[place.name()], p.ledger.copy(place.name(), p.now())
	limit := time.Duration(place.job.RPO)
	for i, point := range s.Points {
		if !r.bad(s, i) {
			return point.At, point.At.Add(limit)
		}
	}
	if s.err != nil && len(s.Points) == 0 {
		// It cannot be seen now: what is remembered ages on.
		for _, point := range r.Points {
			if point.Bad == nil && point.At.After(at) {
				at = point.At
			}
		}
		if !at.IsZero() {
			return at, at.Add(limit)
		}
	}
	return time.Time{}, r.Since.Add(limit)
}

// depths adds the evidence of each depth, and until when it is good enough.
func (p *probe) depths(r *probes.Result, place *place, rec *record) {
	for _, d := range job.Depths() {
		labels := []string{place.job.Name, place.conf.Name, string(d), place.job.Owner}
		last := rec.Proofs[d].At
		r.AddTime(verified, last, labels...)
		interval := place.job.Verify.interval(d)
		if interval == 0 || !slices.Contains(place.kind.Depths, d) {
			continue
		}
		if last.Before(rec.Since) {
			last = rec.Since
		}
		r.AddTime(verifyDeadline, last.Add(interval), labels...)
	}
}

// verdict adds the verdict, why it is so, and how long it may stay unknown.
func (p *probe) verdict(r *probes.Result, place *place, rec *record, now time.Time) {
	answer := p.judge(place)
	for _, v := range job.Verdicts() {
		value := 0.0
		if v == answer.Verdict {
			value = 1
		}
		r.Add(verdict, value, place.job.Name, place.conf.Name, string(v), place.job.Owner)
	}
	if answer.Verdict != job.Good {
		r.Add(verdictReason, 1, place.job.Name, place.conf.Name, answer.Reason, place.job.Owner)
	}
	switch {
	case answer.Verdict != job.Unknown:
		rec.Unknown = time.Time{}
		return
	case rec.Unknown.IsZero():
		rec.Unknown, p.dirty = now, true
	}
	r.AddTime(unknownDeadline, rec.Unknown.Add(time.Duration(place.job.Verify.UnknownAfter)), place.job.Name, place.conf.Name, place.job.Owner)
}

// sizes adds how large the newest point is whose size is known, and what was to
// be expected.
func (p *probe) sizes(r *probes.Result, place *place, rec *record, s seen) {
	labels := []string{place.job.Name, place.conf.Name, place.job.Owner}
	for i, k := range s.keys {
		point := rec.Points[k]
		if point == nil || rec.bad(s, i) || !point.Size.Known && !point.Files.Known {
			continue
		}
		history := rec.history(k)
		add := func(value, expected *probes.Metric, of job.Count, count func(*pointRecord) job.Count) {
			if !of.Known {
				return
			}
			r.Add(value, float64(of.N), labels...)
			if low, high, ok := place.job.Anomaly.expect(*point, history, count); ok {
				r.Add(expected, low, place.job.Name, place.conf.Name, "lower", place.job.Owner)
				r.Add(expected, high, place.job.Name, place.conf.Name, "upper", place.job.Owner)
			}
		}
		add(sizeBytes, sizeExpected, point.Size, func(p *pointRecord) job.Count { return p.Size })
		add(filesCount, filesExpected, point.Files, func(p *pointRecord) job.Count { return p.Files })
		return
	}
}

// reading adds how much of what is kept was read within the cycle.
func (p *probe) reading(r *probes.Result, place *place, rec *record, s seen, now time.Time) {
	cycle := time.Duration(place.job.Verify.Cycle)
	if cycle == 0 || len(s.Units) == 0 || !slices.Contains(place.kind.Depths, job.Read) {
		return
	}
	var (
		total, read int64
		oldest      time.Time
	)
	for _, u := range s.Units {
		known := rec.Units[u.ID]
		if known == nil {
			continue
		}
		total += u.Bytes
		last := known.First
		if !known.Read.IsZero() {
			last = known.Read
			if known.Bad == nil && now.Sub(known.Read) < cycle {
				read += u.Bytes
			}
		}
		if oldest.IsZero() || last.Before(oldest) {
			oldest = last
		}
	}
	labels := []string{place.job.Name, place.conf.Name, place.job.Owner}
	if total > 0 {
		r.Add(coverage, float64(read)/float64(total), labels...)
	}
	r.AddTime(oldestUnverified, oldest, labels...)
	r.AddTime(cycleDeadline, oldest.Add(cycle), labels...)
}
