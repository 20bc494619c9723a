package megaraid

import (
	"strings"

	"hygiene_exporter/probes/redundancy/tool/raid"
)

func controllerCondition(state string) raid.Condition {
	switch strings.ToLower(strings.TrimSpace(state)) {
	case "optimal", "ok", "":
		return raid.Optimal
	case "needs attention", "degraded":
		return raid.Degraded
	case "failed", "offline":
		return raid.Broken
	}
	return raid.Odd
}

// volumeCondition knows the short words of storcli and the long ones of MegaCli.
func volumeCondition(state string) raid.Condition {
	switch strings.ToLower(strings.TrimSpace(state)) {
	case "optl", "optimal", "hd", "cac":
		return raid.Optimal
	case "pdgd", "partially degraded":
		return raid.Partial
	case "dgrd", "degraded", "rec", "recovery":
		return raid.Degraded
	case "ofln", "offline", "failed":
		return raid.Broken
	}
	return raid.Odd
}

// diskRole knows the words of storcli, storcli2 and MegaCli.
func diskRole(state string) raid.Role {
	switch strings.ToLower(strings.TrimSpace(state)) {
	case "onln", "online", "cfshld", "configured shielded":
		return raid.Active
	case "rbld", "rebuild", "rebuilding":
		return raid.Rebuilding
	case "ghs", "dhs", "hotspare", "hot spare", "hspshld", "hotspare shielded":
		return raid.Spare
	case "ugood", "jbod", "good", "ugshld", "unconfigured(good)", "unconfigured good", "cpybck", "copyback", "cbshld",
		"sntze", "sanitize", "ugunsp", "system":
		return raid.Idle
	case "offln", "offline", "ubad", "bad", "failed", "ubunsp", "cfunsp", "hspunsp", "unconfigured(bad)", "unconfigured bad":
		return raid.Failed
	case "msng", "missing":
		return raid.Absent
	}
	return raid.Strange
}
