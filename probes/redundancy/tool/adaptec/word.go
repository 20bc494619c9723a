package adaptec

import (
	"strings"

	"hygiene_exporter/probes/redundancy/tool/raid"
)

func controllerCondition(state string) raid.Condition {
	switch strings.ToLower(state) {
	case "optimal", "okay", "ok", "normal", "":
		return raid.Optimal
	case "degraded", "suboptimal":
		return raid.Degraded
	case "failed", "offline", "lockup", "kernel panic":
		return raid.Broken
	}
	return raid.Odd
}

// condition knows the states of logical devices of the ARCCONF guide. Impacted
// is one whose parity was not built yet.
func condition(state string) raid.Condition {
	word, _, _ := strings.Cut(strings.ToLower(state), ",")
	switch strings.TrimSpace(word) {
	case "optimal", "okay", "ok", "impacted", "reconfiguring", "migrating", "building", "verifying", "logical device reconfiguring",
		"expanding", "queued for expansion":
		return raid.Optimal
	case "suboptimal":
		return raid.Partial
	case "degraded", "critical", "rebuilding", "interim recovery", "ready for rebuild", "recovering", "ready for recovery", "queued for rebuild":
		return raid.Degraded
	case "failed", "offline", "missing", "inaccessible", "not available", "disabled":
		return raid.Broken
	}
	return raid.Odd
}

func segmentRole(word string) raid.Role {
	switch strings.ToLower(word) {
	case "present", "online", "optimal":
		return raid.Active
	case "rebuilding":
		return raid.Rebuilding
	case "missing":
		return raid.Absent
	case "inconsistent", "failed", "offline", "defunct", "degraded":
		return raid.Failed
	}
	return raid.Strange
}

func diskRole(state string) raid.Role {
	word, _, _ := strings.Cut(strings.ToLower(state), "(")
	word = strings.TrimSpace(word)
	switch {
	case word == "online", word == "optimal", word == "in use by maxcache", word == "maxcache", word == "caching":
		return raid.Active
	case strings.Contains(word, "hot spare"), strings.Contains(word, "hot-spare"), word == "standby":
		return raid.Spare
	case word == "ready", word == "raw", word == "jbod", word == "available", word == "initializing", word == "formatting",
		word == "verifying", word == "clearing", word == "exposed", word == "pass through":
		return raid.Idle
	case word == "rebuilding":
		return raid.Rebuilding
	case word == "missing":
		return raid.Absent
	case word == "failed", word == "defunct", word == "offline", word == "dead", word == "inaccessible", word == "predictive failure",
		word == "degraded", word == "inconsistent":
		return raid.Failed
	}
	return raid.Strange
}
