package patch

import (
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/memory"
	"hygiene_exporter/probes/patch/updates"
)

// historyVersion is that of what the probe remembers.
const historyVersion = 1

// A thing is what the probe remembers having seen: an object of its own, an
// automatic installation that was switched on, or a release that was newer than
// what was installed.
type thing struct {
	Kind     string `json:"kind"` // object, automatic or release
	Object   string `json:"object"`
	Package  string `json:"package,omitempty"`
	Version  string `json:"version,omitempty"`
	Security bool   `json:"security,omitempty"`
}

func (t thing) key() string {
	return strings.Join([]string{t.Kind, t.Object, t.Package, t.Version}, " ")
}

// A history remembers since when things have been seen, so that age is known
// where no date proves it. A lost history makes nothing older than it is, and
// what dates prove stays proven.
type history struct {
	memory *memory.Memory[thing]
	loaded bool

	// Of the current run.
	now    time.Time
	known  []string        // keys that were there when it began, sorted
	seen   map[string]bool // keys
	unsure map[string]bool // managers of which something could not be read
}

func newHistory(state probes.State) history {
	return history{memory: memory.New[thing](state, historyVersion)}
}

// begin starts a run. With an error nothing is remembered in it.
func (h *history) begin(now time.Time) error {
	h.now, h.seen, h.unsure = now, map[string]bool{}, map[string]bool{}
	if !h.loaded {
		if err := h.memory.Load(); err != nil {
			return err
		}
		h.loaded = true
	}
	h.known = h.memory.Present()
	return nil
}

// saw returns since when a thing has been seen.
func (h *history) saw(t thing) time.Time {
	h.seen[t.key()] = true
	if !h.loaded {
		return h.now
	}
	h.memory.Saw(t.key(), t, h.now)
	if object, known := h.memory.Object(t.key()); known {
		return object.First
	}
	return h.now // there are too many to remember
}

// doubt says that something of a manager could not be read, so that what was
// not seen of it may still be there.
func (h *history) doubt(manager string) { h.unsure[manager] = true }

// keepServices says that processes could not be inspected, so that services of
// earlier runs may still execute replaced code.
func (h *history) keepServices() {
	for _, key := range h.memory.Present() {
		if object, _ := h.memory.Object(key); object.Detail.Package == "service" && object.Detail.Kind == "object" {
			h.seen[key] = true
		}
	}
}

// notice records that the releases of an update are there.
func (h *history) notice(m updates.Manager, u updates.Update) {
	for _, r := range u.Releases {
		h.saw(thing{"release", m.Name, u.Package, r.Version, r.Security})
	}
}

// judge derives class, rating and age of an update from its releases, and from
// those seen earlier that the candidate has superseded since: whoever lets
// release after release go by has been without the first one all the time.
func (h *history) judge(m updates.Manager, u updates.Update) update {
	releases := u.Releases
	first := make([]time.Time, len(releases), len(releases)+1)
	for i, r := range releases {
		first[i] = h.saw(thing{"release", m.Name, u.Package, r.Version, r.Security})
	}
	for _, t := range h.superseded(m, u) {
		releases = append(slices.Clip(releases), updates.Release{Version: t.Version, Security: t.Security})
		first = append(first, h.saw(t))
	}
	j := update{Update: u, class: updates.Other, advisory: updates.Unrated}
	for _, r := range releases {
		if r.Security {
			j.class, j.advisory = updates.Security, worse(j.advisory, r.Advisory)
		}
	}
	for i, r := range releases {
		if j.class == updates.Security && !r.Security {
			continue
		}
		at, why := first[i], "version "+r.Version+" was first seen then"
		if !r.Available.IsZero() && r.Available.Before(at) {
			at, why = r.Available, "version "+r.Version+": "+r.Evidence
		}
		if j.since.IsZero() || at.Before(j.since) {
			j.since, j.why = at, why
		}
	}
	if j.since.IsZero() {
		j.since, j.why = h.now, "no date is known"
	}
	return j
}

// superseded returns the releases that were seen earlier, are not known to the
// metadata any more, and lie between what is installed and the candidate.
func (h *history) superseded(m updates.Manager, u updates.Update) []thing {
	if !h.loaded || m.Compare == nil {
		return nil
	}
	var between []thing
	for _, key := range h.releases(m.Name, u.Package) {
		object, _ := h.memory.Object(key)
		t := object.Detail
		if !h.seen[key] && m.Compare(t.Version, u.Installed) > 0 && m.Compare(t.Version, u.Candidate) <= 0 {
			between = append(between, t)
		}
	}
	return between
}

// releases returns the keys of the releases of a package that were remembered
// when the run began.
func (h *history) releases(object, name string) []string {
	prefix := thing{Kind: "release", Object: object, Package: name}.key()
	from, _ := slices.BinarySearch(h.known, prefix)
	to := from
	for to < len(h.known) && strings.HasPrefix(h.known[to], prefix) {
		to++
	}
	return h.known[from:to]
}

// end forgets what is not there any more, saves, and returns the objects to
// report as gone.
func (h *history) end() []string {
	if !h.loaded {
		return nil
	}
	for _, key := range h.memory.Present() {
		object, _ := h.memory.Object(key)
		manager, _, _ := strings.Cut(object.Detail.Object, "/")
		if !h.seen[key] && !h.unsure[manager] {
			h.memory.Removed(key, h.now)
		}
	}
	var gone []string
	for _, key := range h.memory.Gone(h.now) {
		if object, _ := h.memory.Object(key); object.Detail.Kind == "object" {
			gone = append(gone, object.Detail.Object)
		}
	}
	_ = h.memory.Save() // the host counts failed writes, and the next run tries again
	return gone
}

// worse returns the worse of two ratings; an empty one is unrated.
func worse(a, b updates.Advisory) updates.Advisory {
	if b == "" || rank(a, updates.Advisories()) <= rank(b, updates.Advisories()) {
		return a
	}
	return b
}
