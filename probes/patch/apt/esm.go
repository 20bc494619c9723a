package apt

import (
	"context"
	"path"
	"slices"

	"hygiene_exporter/probes/patch/updates"
)

// esmRoot is where the client of Ubuntu Pro keeps sources and lists of the
// extended maintenance on a host that is not subscribed to it, so that one can
// see what one does not get.
const esmRoot = "/var/lib/ubuntu-advantage/apt-esm"

// notEntitled returns the updates that need a subscription which the host does
// not have.
func (v *view) notEntitled(ctx context.Context) []updates.Update {
	s := &sources{native: v.native, foreign: v.foreign}
	v.complain(v.tracked.each(path.Join(esmRoot, "etc/apt/sources.list.d"), []string{".list", ".sources"}, s.readFile))
	if len(s.list) == 0 {
		return nil
	}
	l, err := openLists(v.tracked, path.Join(esmRoot, "var/lib/apt/lists"))
	v.complain(err)
	known := v.dpkg.packages(v.native)
	for _, source := range s.list {
		if slices.ContainsFunc(v.repositories, func(r *repository) bool { return r.base() == source.base() }) {
			continue // the host is subscribed
		}
		for _, i := range l.repository(v.tracked, source).indexes {
			if err := known.available(ctx, v.tracked, i); err != nil {
				v.complain(err)
			}
		}
	}
	var list []updates.Update
	for _, p := range known.sorted() {
		if u, ok := v.beyond(p); ok {
			list = append(list, u)
		}
	}
	return list
}

// beyond describes what extended maintenance has that is newer than what the
// host can get.
func (v *view) beyond(p *pkg) (updates.Update, bool) {
	best := p.current
	if own := ofArch(v.packages.byName[p.name], p.arch); own != nil {
		if candidate := v.policy.candidate(own); candidate != nil && candidate.newerThan(best) {
			best = candidate
		}
	}
	newest := p.versions[0]
	if !newest.newerThan(best) {
		return updates.Update{}, false
	}
	u := updates.Update{
		Package: p.String(), Installed: p.current.version, Candidate: newest.version, State: updates.NotEntitled,
		Notes: []string{"it is published for subscribers of Ubuntu Pro, which this host is not attached to (pro status)"},
	}
	for _, newer := range p.versions {
		if newer.newerThan(best) {
			u.Releases = append(u.Releases, newer.release())
		}
	}
	return u, true
}
