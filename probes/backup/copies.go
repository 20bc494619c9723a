package backup

import (
	"cmp"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// countCopies adds how many copies of a job count, and how many must. The caller
// holds the lock.
func (p *probe) countCopies(r *probes.Result, j *Job, now time.Time) {
	var (
		devices   [][]string
		media     []string
		offsite   int
		immutable int
		declared  = map[string]int{"media": 0}
	)
	for _, place := range p.places {
		if place.job != j {
			continue
		}
		declared["total"]++
		declared["offsite"] += one(place.conf.Offsite)
		declared["immutable"] += one(place.conf.Immutable)
		s := p.seen[place.name()]
		_, deadline := p.freshness(place)
		if deadline.Before(now) || p.judge(place).Verdict == job.Bad || len(s.Points) == 0 {
			continue
		}
		devices = append(devices, s.Devices)
		if kind := cmp.Or(place.conf.Media, s.Media); kind != "" && !slices.Contains(media, kind) {
			media = append(media, kind)
		}
		offsite += one(place.conf.Offsite)
		immutable += one(unchangeable(place, s, deadline))
	}
	if declared["total"] == 1 {
		declared["total"] = 0 // that the only copy is bad or late is told already
	}
	for requirement, n := range map[string]int{"total": apart(devices), "media": len(media), "offsite": offsite, "immutable": immutable} {
		r.Add(copies, float64(n), j.Name, requirement, j.Owner)
	}
	for requirement, n := range map[string]int{"total": j.Require.Total, "media": j.Require.Media, "offsite": j.Require.Offsite, "immutable": j.Require.Immutable} {
		r.Add(copiesRequired, float64(cmp.Or(n, declared[requirement])), j.Name, requirement, j.Owner)
	}
}

// unchangeable reports whether nobody can change a copy until the next backup is
// due: what the place itself says counts for more than what the configuration
// declares.
func unchangeable(place *place, s seen, due time.Time) bool {
	if !s.Immutable.IsZero() {
		return !s.Immutable.Before(due)
	}
	return place.conf.Immutable
}

// apart returns how many copies lie on disks that no other of them lies on: those
// on the fewest disks first, so that the order of the configuration does not
// matter.
func apart(copies [][]string) int {
	slices.SortStableFunc(copies, func(a, b []string) int { return cmp.Compare(len(a), len(b)) })
	var taken [][]string
	for _, devices := range copies {
		if !shares(taken, devices) {
			taken = append(taken, devices)
		}
	}
	return len(taken)
}

// shares reports whether a disk is one that an earlier copy lies on. A copy of
// which no disk is known stands for itself.
func shares(taken [][]string, devices []string) bool {
	return slices.ContainsFunc(taken, func(other []string) bool {
		return slices.ContainsFunc(other, func(name string) bool { return slices.Contains(devices, name) })
	})
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
