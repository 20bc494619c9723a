// Package evidence tells which versions lie between what is installed and a
// candidate, what they are for, and since when they have been available, from
// the packages of repositories and from advisories.
package evidence

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
	"hygiene_exporter/probes/patch/updates"
)

// An Offer is a package of a repository.
type Offer struct {
	repodata.Package
	Repo      string
	Published time.Time // of the metadata of the repository; zero if unknown
}

// An Advisory is what one says about one version of a package.
type Advisory struct {
	repodata.Advisory
	Package repodata.AdvisoryPackage
	Repo    string
}

// Security reports whether the advisory is about security.
func (a Advisory) Security() bool { return a.Type == "security" }

// Date is when the publisher announced the version; zero if it does not say.
func (a Advisory) Date() time.Time {
	if a.Issued.IsZero() {
		return a.Updated
	}
	return a.Issued
}

// Releases returns the versions of which repositories or advisories know and
// that the caller wants, oldest first. Repositories often keep the newest
// version only, and advisories all of them: so what an update repairs is told by
// the advisories of all versions up to it. A prefix comes before each version.
func Releases(prefix string, wanted func(evr.EVR, string) bool, offers []Offer, advisories []Advisory) []updates.Release {
	known := map[evr.EVR]*updates.Release{}
	release := func(version evr.EVR) *updates.Release {
		if known[version] == nil {
			known[version] = &updates.Release{Version: prefix + version.String()}
		}
		return known[version]
	}
	for _, o := range offers {
		if wanted(o.EVR, o.Arch) {
			addOffer(release(o.EVR), o)
		}
	}
	for _, a := range advisories {
		if wanted(a.Package.EVR, a.Package.Arch) {
			addAdvisory(release(a.Package.EVR), a)
		}
	}
	var list []updates.Release
	for _, version := range slices.SortedFunc(maps.Keys(known), evr.Compare) {
		list = append(list, *known[version])
	}
	return list
}

// addOffer dates a version by its file in the repository, but not later than the
// metadata that lists it.
func addOffer(r *updates.Release, o Offer) {
	at, how := o.Added, "file"
	if at.IsZero() {
		at, how = o.Built, "build"
	}
	if at.IsZero() || !o.Published.IsZero() && o.Published.Before(at) {
		at, how = o.Published, "metadata"
	}
	if r.Evidence == "" || !at.IsZero() && (r.Available.IsZero() || at.Before(r.Available)) {
		r.Available = at
		r.Evidence = fmt.Sprintf("repository %s, %s of %s", o.Repo, how, Day(at))
	}
}

// addAdvisory rates a version, and dates it by when the publisher announced it.
// What is announced for security counts before everything else.
func addAdvisory(r *updates.Release, a Advisory) {
	security, rating := a.Security(), Rating(a.Severity)
	switch {
	case security && !r.Security:
		r.Security, r.Advisory = true, rating
		r.Available, r.Evidence = cmp.Or(a.Date(), r.Available), a.text()
		return
	case security != r.Security:
		return
	case security && rank(rating) < rank(r.Advisory):
		r.Advisory = rating
	}
	first := !strings.HasPrefix(r.Evidence, "advisory")
	if at := a.Date(); !at.IsZero() && (first || r.Available.IsZero() || at.Before(r.Available)) {
		r.Available, r.Evidence = at, a.text()
	}
}

func (a Advisory) text() string {
	parts := []string{"advisory " + a.ID + " of repository " + a.Repo, a.Type, strings.ToLower(a.Severity), "issued " + Day(a.Date())}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}

func rank(a updates.Advisory) int { return slices.Index(updates.Advisories(), string(a)) }

// Rating maps the words of Red Hat, SUSE, Fedora and Amazon.
func Rating(severity string) updates.Advisory {
	switch strings.ToLower(severity) {
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

// Day writes a date for a person.
func Day(at time.Time) string {
	if at.IsZero() {
		return "unknown date"
	}
	return at.UTC().Format(time.DateOnly)
}

// core are the packages that dnf and zypper take to need a reboot, besides
// kernels, which are compared with the one that runs.
var core = []string{
	"glibc", "linux-firmware", "systemd", "dbus", "dbus-broker", "dbus-daemon", "microcode_ctl", "udev",
	"ucode-intel", "ucode-amd", "kernel-firmware",
}

// Reboots returns the installed packages that take effect only by a reboot: those
// of the core, others that the host names, and those of which an advisory of the
// installed version says so.
func Reboots(installed []rpmdb.Package, named []string, advisories map[string][]Advisory) []updates.Change {
	var list []updates.Change
	for _, p := range installed {
		if p.InstallTime.IsZero() {
			continue
		}
		change := updates.Change{Package: p.Name, At: p.InstallTime}
		suggests := func(a Advisory) bool {
			return a.Package.RebootSuggested && a.Package.Arch == p.Arch && evr.Compare(a.Package.EVR, p.EVR) == 0
		}
		if at := slices.IndexFunc(advisories[p.Name], suggests); at >= 0 {
			change.Why = "advisory " + advisories[p.Name][at].ID + " suggests a reboot"
		} else if slices.Contains(core, p.Name) || slices.Contains(named, p.Name) {
			change.Why = "it is part of the core of the system"
		}
		if change.Why != "" {
			list = append(list, change)
		}
	}
	return list
}
