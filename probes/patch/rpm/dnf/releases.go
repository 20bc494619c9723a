package dnf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/updates"
)

// releases returns the versions between what is installed and a candidate, of
// which repositories or advisories know. Repositories often keep the newest
// version only, and advisories all of them: so what an update repairs is told by
// the advisories of all versions up to it.
func (j *judge) releases(c candidate) []updates.Release {
	known := map[evr.EVR]*updates.Release{}
	release := func(version evr.EVR) *updates.Release {
		if known[version] == nil {
			text := version.String()
			if c.obsoletes {
				text = c.Name + " " + text
			}
			known[version] = &updates.Release{Version: text}
		}
		return known[version]
	}
	between := func(version evr.EVR, arch string) bool {
		return (arch == c.Arch || arch == c.installed.Arch) && evr.Compare(version, c.EVR) <= 0 &&
			(c.obsoletes || evr.Compare(version, c.installed.EVR) > 0)
	}
	for _, o := range j.offers {
		if o.Name == c.Name && between(o.EVR, o.Arch) {
			offered(release(o.EVR), o)
		}
	}
	for _, a := range j.advisories[c.Name] {
		if between(a.pkg.EVR, a.pkg.Arch) {
			advised(release(a.pkg.EVR), a)
		}
	}
	var list []updates.Release
	for _, version := range slices.SortedFunc(keys(known), evr.Compare) {
		list = append(list, *known[version])
	}
	return list
}

func keys(m map[evr.EVR]*updates.Release) func(func(evr.EVR) bool) {
	return func(yield func(evr.EVR) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// offered dates a version by its file in the repository, but not later than the
// metadata that lists it.
func offered(r *updates.Release, o offer) {
	at, how := o.Added, "file"
	if at.IsZero() {
		at, how = o.Built, "build"
	}
	if made := o.origin.read.Index.Published(); at.IsZero() || !made.IsZero() && made.Before(at) {
		at, how = made, "metadata"
	}
	if r.Available.IsZero() || !at.IsZero() && at.Before(r.Available) {
		r.Available = at
		r.Evidence = fmt.Sprintf("repository %s, %s of %s", o.repo.id, how, day(at))
	}
}

// advised rates a version and dates it by the advisory, which is when the
// publisher announced it.
func advised(r *updates.Release, a advisory) {
	at := a.Issued
	if at.IsZero() {
		at = a.Updated
	}
	security := a.Type == "security"
	text := fmt.Sprintf("advisory %s of repository %s, %s", a.ID, a.repo, strings.Join(slices.DeleteFunc([]string{a.Type, strings.ToLower(a.Severity), "issued " + day(at)}, func(s string) bool { return s == "" }), ", "))
	switch {
	case security && !r.Security:
		r.Security, r.Advisory, r.Available, r.Evidence = true, severity(a.Severity), cmp.Or(at, r.Available), text
		return
	case security == r.Security:
		if security && rank(severity(a.Severity)) < rank(r.Advisory) {
			r.Advisory = severity(a.Severity)
		}
		if !at.IsZero() && (r.Available.IsZero() || at.Before(r.Available) || !strings.HasPrefix(r.Evidence, "advisory")) {
			r.Available, r.Evidence = at, text
		}
	}
}

func rank(a updates.Advisory) int { return slices.Index(updates.Advisories(), string(a)) }

// severity maps the words of Red Hat, SUSE, Fedora and Amazon.
func severity(text string) updates.Advisory {
	switch strings.ToLower(text) {
	case "critical", "urgent":
		return updates.Critical
	case "important", "high":
		return updates.Important
	case "moderate", "medium":
		return updates.Moderate
	case "low":
		return updates.Low
	}
	return updates.Unrated
}

func day(at time.Time) string {
	if at.IsZero() {
		return "unknown date"
	}
	return at.UTC().Format("2006-01-02")
}

// describe tells what is installed of a name and where it could come from.
func (j *judge) describe(name string) []string {
	var lines []string
	for _, p := range j.installed[name] {
		line := "installed " + p.NEVRA()
		if !p.InstallTime.IsZero() {
			line += " on " + day(p.InstallTime)
		}
		if p.Module != "" {
			line += ", module " + p.Module
		}
		lines = append(lines, line)
	}
	var offers []offer
	for _, o := range j.offers {
		if o.Name == name {
			offers = append(offers, o)
		}
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return evr.Compare(b.EVR, a.EVR) })
	for _, o := range offers {
		line := fmt.Sprintf("available %s, repository %s, priority %d", o.NEVRA(), o.repo.id, o.repo.priority)
		if o.locked != "" {
			line += ", held by " + o.locked
		}
		lines = append(lines, line)
	}
	for _, a := range j.advisories[name] {
		at := a.Issued
		if at.IsZero() {
			at = a.Updated
		}
		lines = append(lines, fmt.Sprintf("advisory %s, %s, %s: %s-%s.%s", a.ID, a.Type, day(at), name, a.pkg.EVR, a.pkg.Arch))
	}
	return lines
}

// resolveModules puts the modules of all repositories together.
func resolveModules(sources []*source, states moduleStates, platform, arch string) *modularity {
	var builds []repodata.Module
	defaults := map[string]string{}
	for _, s := range sources {
		for _, b := range s.read.Modules.Builds {
			if b.Arch == "" || arch == "" || b.Arch == arch || b.Arch == "noarch" {
				builds = append(builds, b)
			}
		}
		for module, stream := range s.read.Modules.Defaults {
			if known, ok := defaults[module]; ok && known != stream {
				stream = "" // repositories that disagree set no default
			}
			defaults[module] = stream
		}
	}
	if len(builds) == 0 {
		return nil
	}
	return newModularity(builds, defaults, states, platform)
}
