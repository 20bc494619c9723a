package dnf

import (
	"fmt"
	"slices"

	"hygiene_exporter/probes/patch/rpm/evidence"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/updates"
)

// releases returns the versions between what is installed and a candidate.
func (j *judge) releases(c candidate) []updates.Release {
	prefix := ""
	if c.obsoletes {
		prefix = c.Name + " "
	}
	var offers []evidence.Offer
	for _, o := range j.byName[c.Name] {
		offers = append(offers, evidence.Offer{Package: o.Package, Repo: o.repo.id, Published: o.origin.read.Index.Published()})
	}
	between := func(version evr.EVR, arch string) bool {
		return (arch == c.Arch || arch == c.installed.Arch) && evr.Compare(version, c.EVR) <= 0 &&
			(c.obsoletes || evr.Compare(version, c.installed.EVR) > 0)
	}
	return evidence.Releases(prefix, between, offers, j.advisories[c.Name])
}

// describe tells what is installed of a name and where it could come from.
func (j *judge) describe(name string) []string {
	var lines []string
	for _, p := range j.installed[name] {
		line := "installed " + p.NEVRA()
		if !p.InstallTime.IsZero() {
			line += " on " + evidence.Day(p.InstallTime)
		}
		if p.Module != "" {
			line += ", module " + p.Module
		}
		lines = append(lines, line)
	}
	offers := slices.Clone(j.byName[name])
	slices.SortStableFunc(offers, func(a, b offer) int { return evr.Compare(b.EVR, a.EVR) })
	for _, o := range offers {
		line := fmt.Sprintf("available %s, repository %s, priority %d", o.NEVRA(), o.repo.id, o.repo.priority)
		if o.locked != "" {
			line += ", held by " + o.locked
		}
		lines = append(lines, line)
	}
	for _, a := range j.advisories[name] {
		lines = append(lines, fmt.Sprintf("advisory %s, %s, %s: %s-%s.%s", a.ID, a.Type, evidence.Day(a.Date()), name, a.Package.EVR, a.Package.Arch))
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
