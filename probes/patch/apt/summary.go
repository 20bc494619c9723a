package apt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/apt/version"
	"hygiene_exporter/probes/patch/updates"
)

// summarize fills in the model.
func (v *view) summarize(ctx context.Context) updates.Manager {
	m := updates.Manager{
		Name: Name, Compare: version.Compare,
		Installed: v.describe, Packages: v.names,
	}
	for _, r := range v.repositories {
		if r.medium() {
			continue
		}
		m.Repositories = append(m.Repositories, r.summarize())
		if r.err != nil {
			err := probes.Because(probes.ReasonOf(r.err), fmt.Errorf("%s: %w", r.object(), r.err))
			v.complain(err)
		} else if r.security() {
			m.SecurityKnown = true
		}
	}
	if len(v.repositories) == 0 {
		v.complain(probes.Because(probes.NotFound, errors.New("apt has no sources, so that it knows of no updates")))
	}
	for _, p := range v.packages.sorted() {
		if u, ok := v.update(p); ok {
			m.Updates = append(m.Updates, u)
		}
	}
	m.Updates = append(m.Updates, v.notEntitled(ctx)...)
	var note string
	m.LastUpgrade, note = v.lastUpgrade()
	m.Notes = append(m.Notes, note)
	m.Automatic = v.automatic()
	m.Incomplete = v.incomplete
	return m
}

// summarize describes how fresh a repository is.
func (r *repository) summarize() updates.Repository {
	u := updates.Repository{Name: r.object(), Refreshed: r.refreshed, Published: r.date, ValidUntil: r.validUntil, Traceless: r.traceless, Archive: r.security()}
	note := func(format string, args ...any) { u.Notes = append(u.Notes, fmt.Sprintf(format, args...)) }
	note("configured   %s", r.place)
	if r.releaseFile != "" {
		note("release      %s: origin %q, label %q, suite %q, codename %q", r.releaseFile, r.origin, r.label, r.suiteName(), r.codename)
	}
	if r.unsigned {
		note("refreshes    apt leaves no trace of refreshing what is not signed or is on this host; the time is that of the others")
	}
	if r.forever {
		note("valid until  it may be used beyond its end: the sources say check-valid-until=no")
		u.ValidUntil = time.Time{}
	}
	if r.security() {
		note("security     what it publishes counts as security updates")
	}
	for _, i := range r.indexes {
		note("index        %s, of %s, priority %d", i.path, i.modified.UTC().Format(time.DateTime), i.priority)
	}
	return u
}

// update describes what is newer than an installed package.
func (v *view) update(p *pkg) (updates.Update, bool) {
	candidate := v.policy.candidate(p)
	u := updates.Update{Package: p.String(), State: updates.Pending}
	if p.current == nil {
		return u, false
	}
	u.Installed = p.current.version
	switch {
	case candidate == nil || !candidate.newerThan(p.current):
		var why string
		if candidate, why = v.pinnedAway(p); candidate == nil {
			return u, false
		}
		u.State, u.Notes = updates.Held, []string{why}
	case p.held:
		u.State, u.Notes = updates.Held, []string{"it is on hold in dpkg (apt-mark showhold)"}
	default:
		if why := v.phasedOut(candidate); why != "" {
			u.State, u.Notes = updates.Phased, []string{why}
		} else if v.plan.choice[p] != candidate {
			u.State, u.Notes = updates.KeptBack, []string{v.plan.why[p]}
		}
	}
	u.Candidate = candidate.version
	for _, newer := range p.versions {
		if newer.newerThan(p.current) && !newer.newerThan(candidate) {
			u.Releases = append(u.Releases, newer.release())
		}
	}
	return u, true
}

func (v *ver) newerThan(other *ver) bool { return version.Compare(v.version, other.version) > 0 }

// pinnedAway returns the newest version that a pin of the package's own forbids,
// although apt would install it without the pin. What is in an archive that is
// used for nothing by itself, such as backports, is not forbidden, and neither
// is what a general preference makes of a whole archive.
func (v *view) pinnedAway(p *pkg) (*ver, string) {
	for _, newer := range p.versions {
		if !newer.newerThan(p.current) {
			return nil, ""
		}
		wanted := slices.ContainsFunc(newer.indexes, func(i *index) bool { return i.priority >= 100 })
		if !wanted {
			continue
		}
		if pin := v.policy.pinOf(newer); pin != nil && pin.priority < 100 {
			return newer, fmt.Sprintf("%s gives version %s the priority %d", pin.place, newer.version, pin.priority)
		}
		if pin := v.policy.pinOf(p.current); pin != nil && pin.target.kind == "version" && pin.priority > v.policy.priority(newer) {
			return newer, fmt.Sprintf("%s keeps version %s with the priority %d", pin.place, p.current.version, pin.priority)
		}
	}
	return nil, ""
}

// phasedOut returns why a phased update is not for this host yet, or "".
func (v *view) phasedOut(candidate *ver) string {
	if candidate.phased >= 100 || v.secure(candidate) {
		return ""
	}
	either := func(name string) bool {
		return v.conf.Bool("APT::Get::"+name, v.conf.Bool("Update-Manager::"+name, false))
	}
	switch {
	case either("Always-Include-Phased-Updates"):
		return ""
	case either("Never-Include-Phased-Updates"):
		return "it is phased, and apt is told to leave out phased updates"
	case v.machine == "":
		return ""
	}
	n := draw(candidate.source + "-" + candidate.sourceVersion + "-" + v.machine)
	if n <= candidate.phased {
		return ""
	}
	return fmt.Sprintf("it is phased for %d%% of hosts, and this host has drawn %d", candidate.phased, n)
}

// secure reports whether a version, or one between it and what is installed,
// comes from a security archive.
func (v *view) secure(candidate *ver) bool {
	return slices.ContainsFunc(candidate.pkg.versions, func(between *ver) bool {
		return between.newerThan(candidate.pkg.current) && !between.newerThan(candidate) && between.secure()
	})
}

// secure reports whether a security archive lists the version.
func (v *ver) secure() bool {
	return slices.ContainsFunc(v.indexes, func(i *index) bool { return i.repository.security() })
}

// release describes a version, with the earliest instant that proves it.
func (v *ver) release() updates.Release {
	r := updates.Release{Version: v.version, Security: v.secure(), Evidence: "no index lists it"}
	for _, i := range v.indexes {
		at, how := i.proof()
		if r.Available.IsZero() && r.Evidence == "no index lists it" || !at.IsZero() && at.Before(r.Available) {
			r.Available, r.Evidence = at, fmt.Sprintf("%s %s, %s", i.repository.object(), i.component, how)
		}
	}
	if r.Security {
		// The archive that makes it a security update is the one to name.
		for _, i := range v.indexes {
			if at, how := i.proof(); i.repository.security() {
				r.Evidence = fmt.Sprintf("%s %s (%s), %s", i.repository.object(), i.component, cmp.Or(i.repository.label, i.repository.suiteName()), how)
				r.Available = at
			}
		}
	}
	return r
}

// plausible is before any index that apt could have fetched.
var plausible = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// proof returns an instant at which everything in the index was published
// already: when the publisher signed it, or when the server had it, which apt
// keeps as the modification time. Where the release file is older than its own
// date, somebody has set the times of files, and they prove nothing.
func (i *index) proof() (at time.Time, how string) {
	signed, held := i.repository.date, i.modified
	honest := held.After(plausible) && (signed.IsZero() || !i.repository.modified.Before(signed.Add(-24*time.Hour)))
	switch {
	case honest && (signed.IsZero() || held.Before(signed)):
		return held, "in an index of " + held.UTC().Format(time.DateTime)
	case !signed.IsZero():
		return signed, "in a release of " + signed.UTC().Format(time.DateTime)
	}
	return time.Time{}, "without a date"
}

// names lists what Installed can describe.
func (v *view) names() []string {
	var names []string
	for _, p := range v.packages.sorted() {
		if p.current != nil {
			names = append(names, p.String())
		}
	}
	return names
}

// describe shows the versions of an installed package, as apt-cache policy
// does.
func (v *view) describe(name string) []string {
	var lines []string
	for _, p := range v.packages.sorted() {
		if p.String() != name || p.current == nil {
			continue
		}
		candidate := v.policy.candidate(p)
		lines = append(lines, fmt.Sprintf("%s is installed in version %s", p, p.current.version))
		for _, known := range p.versions {
			mark := "   "
			if known == candidate {
				mark = "-> "
			}
			lines = append(lines, fmt.Sprintf("  %s%s, priority %d", mark, known.version, v.policy.priority(known)))
			for _, i := range known.indexes {
				lines = append(lines, fmt.Sprintf("       %s %s %s", i.repository.object(), i.component, i.architecture))
			}
			if pin := v.policy.pinOf(known); pin != nil {
				lines = append(lines, "       "+pin.place)
			}
		}
	}
	return lines
}
