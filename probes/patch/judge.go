package patch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/patch/updates"
)

// A manager is a package manager with what follows from its updates.
type manager struct {
	updates.Manager
	judged []update
}

// object returns the object of a repository.
func (m manager) object(r updates.Repository) string { return m.Name + "/" + r.Name }

// An update is a pending update with what follows from its releases.
type update struct {
	updates.Update
	class    updates.Class
	advisory updates.Advisory
	since    time.Time // since when, at the latest, a release of this class is known to be available
	why      string    // how that is known
}

// judge derives class, rating and age of all updates. Security comes first, and
// the oldest first.
func (p *probe) judge(read updates.Manager) manager {
	m := manager{Manager: read}
	for _, u := range read.Updates {
		p.history.notice(read, u)
	}
	for _, u := range read.Updates {
		m.judged = append(m.judged, p.history.judge(read, u))
	}
	slices.SortStableFunc(m.judged, func(a, b update) int {
		return cmp.Or(
			cmp.Compare(rank(a.class, updates.Classes()), rank(b.class, updates.Classes())),
			a.since.Compare(b.since),
			cmp.Compare(rank(a.advisory, updates.Advisories()), rank(b.advisory, updates.Advisories())),
			strings.Compare(a.Package, b.Package),
		)
	})
	return m
}

func rank[T ~string](value T, order []string) int { return slices.Index(order, string(value)) }

// missing reports whether the host lacks what it should have. Whoever holds a
// package back keeps its holes too, so a held security update counts.
func (u update) missing() bool {
	switch u.State {
	case updates.Pending, updates.KeptBack:
		return true
	case updates.Held:
		return u.class == updates.Security
	}
	return false
}

// group is what deadlines are for.
type group struct {
	class    updates.Class
	advisory updates.Advisory
}

// oldest returns since when the oldest missing update of each group has been
// available.
func (m manager) oldest() map[group]time.Time {
	oldest := map[group]time.Time{}
	for _, u := range m.judged {
		g := group{u.class, u.advisory}
		if known, ok := oldest[g]; u.missing() && (!ok || u.since.Before(known)) {
			oldest[g] = u.since
		}
	}
	return oldest
}
