package patch

import (
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/updates"
)

// addUpdates adds what is pending. Zero is said only of what was computed: of
// nothing while the updates are incomplete, and of no security updates where
// the metadata does not tell which they are.
func (p *probe) addUpdates(result *probes.Result, m manager) {
	owner := p.config.Owner
	type kind struct{ class, state string }
	counts := map[kind]float64{}
	for i, u := range m.judged {
		counts[kind{string(u.class), string(u.State)}]++
		if i < p.config.Listed {
			result.Add(pendingInfo, 1, m.Name, u.Package, u.Installed, u.Candidate, string(u.class), string(u.advisory), string(u.State), owner)
		}
	}
	for _, class := range updates.Classes() {
		computed := len(m.Incomplete) == 0 && (m.SecurityKnown || class == string(updates.Other))
		for _, state := range updates.States() {
			if n := counts[kind{class, state}]; n > 0 || computed {
				result.Add(pending, n, m.Name, class, state, owner)
			}
		}
	}
	oldest := m.oldest()
	for _, class := range updates.Classes() {
		for _, advisory := range updates.Advisories() {
			g := group{updates.Class(class), updates.Advisory(advisory)}
			if since, ok := oldest[g]; ok {
				result.AddTime(oldestPending, since, m.Name, class, advisory, owner)
				result.AddTime(deadline, since.Add(p.config.Deadlines.of(g.class, g.advisory)), m.Name, class, advisory, owner)
			}
		}
	}
	result.Add(securityKnown, number(m.SecurityKnown), m.Name, owner)
	addTruth(result, busy, m.Busy, m.Name, owner)
	result.AddTime(lastUpgrade, m.LastUpgrade, m.Name, owner)
}

// addRepository adds how fresh the metadata of a repository is.
func (p *probe) addRepository(result *probes.Result, object string, r updates.Repository) {
	owner := p.config.Owner
	first := p.history.saw(thing{Kind: "object", Object: object})
	from := r.Refreshed
	if from.IsZero() {
		from = first
	}
	result.AddTime(lastRefresh, r.Refreshed, object, owner)
	if r.Traceless {
		result.Observe(object)
	} else {
		result.AddTime(refreshDeadline, from.Add(time.Duration(p.config.Deadlines.Metadata)), object, owner)
	}
	result.AddTime(validUntil, r.ValidUntil, object, owner)
	result.AddTime(published, r.Published, object, owner)
	if r.Archive && !r.Published.IsZero() {
		result.AddTime(publishedDeadline, r.Published.Add(time.Duration(p.config.Deadlines.Published)), object, owner)
	}
	if r.Err != nil {
		result.Fault(object, r.Err)
	}
}

// addAutomatic adds what is known of automatic updates. Where they are not
// switched on, nothing is due.
func (p *probe) addAutomatic(result *probes.Result, m manager) {
	owner := p.config.Owner
	addTruth(result, automatic, m.Automatic.Enabled, m.Name, owner)
	result.AddTime(automaticLast, m.Automatic.LastSuccess, m.Name, owner)
	if m.Automatic.Enabled != updates.Yes {
		return
	}
	first := p.history.saw(thing{Kind: "automatic", Object: m.Name})
	from := m.Automatic.LastSuccess
	if from.IsZero() {
		from = first
	}
	result.AddTime(automaticDue, from.Add(time.Duration(p.config.Deadlines.Automatic)), m.Name, owner)
}

// addTruth adds what is known; what is not is absent.
func addTruth(result *probes.Result, metric *probes.Metric, truth updates.Truth, object, owner string) {
	if truth != updates.Unknown {
		result.Add(metric, number(truth == updates.Yes), object, owner)
	}
}

func number(value bool) float64 {
	if value {
		return 1
	}
	return 0
}
