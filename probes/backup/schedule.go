package backup

import (
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// pending is a task that is due.
type pending struct {
	place *place
	seen  seen
	depth job.Depth
	point int // index of the point; -1 for units alone
	task  job.Task
}

// ahead is how much of an interval may pass before evidence is renewed, so that
// it is there before its deadline.
func ahead(interval time.Duration) time.Duration { return interval * 3 / 4 }

// retry is how soon a check is tried again that could not be made.
func retry(interval time.Duration) time.Duration {
	return min(max(interval/8, 15*time.Minute), 6*time.Hour)
}

// next returns the most urgent task that is due, if any. The caller holds the
// lock.
func (p *probe) next(now time.Time) (pending, bool) {
	if p.host.Work == probes.Scheduled && !p.config.Window.contains(now) {
		return pending{}, false
	}
	if _, ok := p.ledger.Spent.left(int64(time.Duration(p.config.TimePerDay)), now); !ok {
		return pending{}, false
	}
	for _, choose := range []func(*place, seen, *record, time.Time) (pending, bool){p.fresh, p.deep, p.rolling} {
		for _, place := range p.places {
			s := p.seen[place.name()]
			r := p.ledger.copy(place.name(), now)
			if s.Busy != "" || len(s.Points) == 0 {
				continue
			}
			left, ok := r.Spent.left(int64(place.job.Verify.BytesPerDay), now)
			if !ok {
				continue
			}
			if t, due := choose(place, s, r, now); due {
				t.place, t.seen, t.task.Depth = place, s, t.depth
				t.task.Bytes = left
				return t, true
			}
		}
	}
	return pending{}, false
}

// fresh chooses the newest point if nobody has looked at it, or not for long.
func (p *probe) fresh(place *place, s seen, r *record, now time.Time) (pending, bool) {
	interval := place.job.Verify.interval(job.Structure)
	if interval == 0 || !slices.Contains(place.kind.Depths, job.Structure) {
		return pending{}, false
	}
	a := r.Attempts[job.Structure]
	if a.Point == s.keys[0] && !due(a, r.Proofs[job.Structure], interval, now) {
		return pending{}, false
	}
	return pending{depth: job.Structure, task: job.Task{Point: s.Points[0], Units: pick(s, s.Points[0].Units)}}, true
}

// due reports whether a check of the same point must be made again.
func due(a attempt, last proof, interval time.Duration, now time.Time) bool {
	if now.Before(a.At) {
		return true // the clock was wrong then, or is now
	}
	switch a.Judgement.Verdict {
	case job.Good, job.Bad:
		return now.Sub(a.At) >= ahead(interval)
	}
	return now.Sub(a.At) >= retry(interval) && now.Sub(last.At) >= ahead(interval)
}

// deep chooses the reading and the restoring of the newest point.
func (p *probe) deep(place *place, s seen, r *record, now time.Time) (pending, bool) {
	if interval := place.job.Verify.interval(job.Read); interval > 0 && slices.Contains(place.kind.Depths, job.Read) {
		units := unread(s, r, pick(s, s.Points[0].Units), interval, now)
		if len(units) > 0 {
			return pending{depth: job.Read, task: job.Task{Point: s.Points[0], Units: units}}, true
		}
	}
	if r.bad(s, 0) {
		return pending{}, false // what is bad is not restored for a test
	}
	for _, d := range []job.Depth{job.Loaded, job.Asserted, job.Restored} {
		interval := place.job.Verify.interval(d)
		if interval == 0 || !slices.Contains(place.kind.Depths, d) {
			continue
		}
		a, last := r.Attempts[d], r.Proofs[d]
		if now.Sub(last.At) < ahead(interval) && !now.Before(last.At) || !a.At.IsZero() && !due(a, last, interval, now) {
			continue
		}
		point := s.Points[0]
		if known := r.Points[s.keys[0]]; known != nil && known.Size.Known {
			point.Size, point.Files = known.Size, known.Files
		}
		return pending{depth: d, task: job.Task{Point: point, Units: pick(s, point.Units), Restore: p.restoreOf(place)}}, true
	}
	return pending{}, false
}

func (p *probe) restoreOf(place *place) job.Restore {
	conf := place.job.Restore
	return job.Restore{
		Source: conf.Source, Sample: int64(conf.Sample), Assert: conf.Assert,
		RPO: time.Duration(place.job.RPO), Memory: int64(conf.Memory),
	}
}

// rolling chooses what was not read for the longest: what never was before all.
func (p *probe) rolling(place *place, s seen, r *record, now time.Time) (pending, bool) {
	interval := time.Duration(place.job.Verify.Cycle)
	if interval == 0 || !slices.Contains(place.kind.Depths, job.Read) {
		return pending{}, false
	}
	units := unread(s, r, s.Units, interval, now)
	if len(units) == 0 {
		return pending{}, false
	}
	return pending{depth: job.Read, point: -1, task: job.Task{Units: units[:min(len(units), batch)]}}, true
}

// batch is how many units one task of the rolling check holds: others get their
// turn between two.
const batch = 64

// unread returns the units whose last reading is too old, the least recently
// read first. The order of the sight, newest first, decides between equals.
func unread(s seen, r *record, units []job.Unit, interval time.Duration, now time.Time) []job.Unit {
	var list []job.Unit
	for _, u := range units {
		known := r.Units[u.ID]
		if known == nil || known.Bad == nil && !known.Read.IsZero() && now.Sub(known.Read) < ahead(interval) && !now.Before(known.Read) {
			continue
		}
		if !known.Tried.IsZero() && !now.Before(known.Tried) {
			wait := retry(interval)
			if known.Bad != nil {
				wait = ahead(interval)
			}
			if known.Tried.After(known.Read) && now.Sub(known.Tried) < wait {
				continue
			}
		}
		list = append(list, u)
	}
	slices.SortStableFunc(list, func(a, b job.Unit) int { return r.Units[a.ID].Read.Compare(r.Units[b.ID].Read) })
	return list
}

// pick returns the units of a point; all of them when it names none.
func pick(s seen, ids []string) []job.Unit {
	if ids == nil {
		return s.Units
	}
	var units []job.Unit
	for _, id := range ids {
		if u, there := s.units[id]; there {
			units = append(units, u)
		}
	}
	return units
}
