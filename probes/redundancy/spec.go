// Package redundancy looks at everything on a host that exists more than once so
// that one of it may fail: disks of RAID arrays, interfaces of bonds, paths to
// storage, default routes. It says how many more failures each survives, and
// remembers what was there: what vanished in silence is missing, and not less to
// expect. No object hides another, and what is not understood is never taken
// for good.
package redundancy

import (
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool"
)

// The states of an object. Exactly one is in force.
const (
	redundant  = "redundant"
	reduced    = "reduced"
	lost       = "lost"
	failed     = "failed"
	rebuilding = "rebuilding"
	missing    = "missing"
	none       = "none"
	unknown    = "unknown"
)

func states() []string {
	return []string{redundant, reduced, lost, failed, rebuilding, missing, none, unknown}
}

const labelKind = "kind"

var (
	membersExpected  = number("members_expected", "Members that there should be: from the configuration, else the most there ever were.")
	membersActive    = number("members_active", "Members that do their part now, as the kernel says.")
	membersMissing   = number("members_missing", "Members that are expected and not there at all, not even as failed ones.")
	sparesExpected   = number("spares_expected", "Spares that there should be: from the configuration, else the most there ever were.")
	sparesAvailable  = number("spares_available", "Spares that could replace a member now, as the kernel says.")
	tolerated        = number("failures_tolerated", "Failures of members survived from now on in the worst case, below 0 if it has failed, from what the kernel says of the members.")
	toleratedDesign  = number("failures_tolerated_design", "Failures of members survived if all that are expected were in order, from the kind and the expected members.")
	syncRatio        = number("sync_ratio", "How much of a running rebuild, resync or check is done, from 0 to 1, as the kernel says.")
	syncProgress     = number("sync_progress_timestamp_seconds", "When a running rebuild was last seen to get on, by the agent.")
	degradedSince    = number("degraded_since_timestamp_seconds", "Since when fewer failures are survived than by design, as the agent saw it.")
	repairDeadline   = number("repair_deadline_timestamp_seconds", "When full redundancy should be back: the configured time after it went, or after a rebuild last got on; only while it is not there.")
	syncDeadline     = number("sync_deadline_timestamp_seconds", "When a running rebuild should have got on again: the configured time after it last did.")
	scrubErrors      = number("scrub_errors", "Errors or differences that the last check of all data found, as the system says.")
	lastScrub        = number("last_scrub_timestamp_seconds", "When the last check of all data ended, as the system says or the agent saw it.")
	scrubDeadline    = number("scrub_deadline_timestamp_seconds", "When all data should have been checked again: the configured time after the last check, or after the object was first seen.")
	writeCache       = number("write_cache_protected", "Whether what a controller has cached survives a loss of power, from the state of its battery or capacitor.")
	observed         = number("observed_timestamp_seconds", "When the tool was asked that says what is known of the object.")
	lastFailover     = number("last_failover_timestamp_seconds", "When another member took over, as the agent saw it.")
	baselineRecorded = number("baseline_recorded_timestamp_seconds", "Since when the agent remembers the object.")

	state = &probes.Metric{
		Name:   "hygiene_redundancy_state",
		Help:   "1 for the state of the object and 0 for all others, from all other facts.",
		Labels: []string{probes.LabelObject, labelKind, probes.LabelOwner, "state"},
		Values: map[string][]string{labelKind: group.Kinds(), "state": states()},
	}
	memberActive = member("member_active", "Whether the member does its part, as the kernel says; 0 for one that is missing.")
	memberErrors = member("member_errors", "Errors that the kernel has counted on the member.")
	sharedDomain = &probes.Metric{
		Name:   "hygiene_redundancy_shared_failure_domain",
		Help:   "1 if members share a disk, adapter or target whose failure they would not survive, from where the kernel says their devices are.",
		Labels: []string{probes.LabelObject, labelKind, probes.LabelOwner, "domain"},
		Values: map[string][]string{labelKind: group.Kinds(), "domain": domains()},
	}
	poolUsed = &probes.Metric{
		Name:   "hygiene_redundancy_pool_used_ratio",
		Help:   "How full a part of a thin pool is, from 0 to 1, as the kernel says.",
		Labels: []string{probes.LabelObject, labelKind, probes.LabelOwner, "part"},
		Values: map[string][]string{labelKind: group.Kinds(), "part": {"data", "metadata"}},
	}
	poolLimit = &probes.Metric{
		Name:   "hygiene_redundancy_pool_used_limit_ratio",
		Help:   "How full a part of a thin pool may be, from the configuration.",
		Labels: poolUsed.Labels,
		Values: poolUsed.Values,
	}
	unverifiable = &probes.Metric{
		Name:   "hygiene_redundancy_unverifiable",
		Help:   "1 if the redundancy may be less than it seems, because something does not watch or does not tell; from the kernel.",
		Labels: []string{probes.LabelObject, labelKind, probes.LabelOwner, "reason"},
		Values: map[string][]string{labelKind: group.Kinds(), "reason": reasons()},
	}
)

func number(name, help string) *probes.Metric {
	return &probes.Metric{
		Name:   "hygiene_redundancy_" + name,
		Help:   help,
		Labels: []string{probes.LabelObject, labelKind, probes.LabelOwner},
		Values: map[string][]string{labelKind: group.Kinds()},
	}
}

func member(name, help string) *probes.Metric {
	m := number(name, help)
	m.Labels = append(m.Labels, probes.LabelMember)
	return m
}

func domains() (all []string) {
	for _, domain := range group.Domains() {
		all = append(all, string(domain))
	}
	return all
}

func reasons() (all []string) {
	for _, reason := range probes.Reasons() {
		all = append(all, string(reason))
	}
	return all
}

// Spec describes the probe.
func Spec() probes.Spec {
	return probes.Spec{
		Name:    "redundancy",
		Summary: "RAID arrays, bonds, storage paths and routes: how many more failures they survive, and whether anything vanished.",
		Metrics: []*probes.Metric{
			state, membersExpected, membersActive, membersMissing, sparesExpected, sparesAvailable,
			tolerated, toleratedDesign, memberActive, memberErrors, syncRatio, syncProgress, syncDeadline, degradedSince,
			repairDeadline, lastScrub, scrubDeadline, scrubErrors, writeCache, lastFailover, baselineRecorded, sharedDomain,
			observed, poolUsed, poolLimit, unverifiable,
		},
		Config:   func() probes.Config { return defaultConfig() },
		Commands: tool.Commands(),
	}
}
