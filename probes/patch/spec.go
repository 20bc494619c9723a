// Package patch tells for how long a host has been known to be vulnerable: which
// updates its package managers have pending, since when at the latest these have
// been available, and how old the metadata is that says so. It promises that a
// zero was computed, that a first look and a lost state neither invent age nor
// hide it, and that reading takes no lock and changes no file.
package patch

import (
	"slices"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/updates"
)

var (
	pending = &probes.Metric{
		Name:   "hygiene_patch_pending",
		Help:   "Updates of installed packages by class and by whether the package manager would install them now, from its local metadata. Zero is there only where it was computed.",
		Labels: []string{probes.LabelObject, "class", "state", probes.LabelOwner},
		Values: map[string][]string{"class": updates.Classes(), "state": updates.States()},
	}
	oldestPending = &probes.Metric{
		Name:   "hygiene_patch_oldest_pending_timestamp_seconds",
		Help:   "Since when at the latest the oldest update that is missing has been available, proven by dates of the metadata or by an earlier look; updates that are phased or need a subscription do not count, and held ones only for security.",
		Labels: []string{probes.LabelObject, "class", "advisory", probes.LabelOwner},
		Values: map[string][]string{"class": updates.Classes(), "advisory": updates.Advisories()},
	}
	deadline = &probes.Metric{
		Name:   "hygiene_patch_deadline_timestamp_seconds",
		Help:   "By when the oldest missing update must be installed, by the deadlines of the configuration.",
		Labels: []string{probes.LabelObject, "class", "advisory", probes.LabelOwner},
		Values: map[string][]string{"class": updates.Classes(), "advisory": updates.Advisories()},
	}
	pendingInfo = &probes.Metric{
		Name: "hygiene_patch_pending_info",
		Help: "An update of an installed package; always 1. Security and the oldest first, up to the limit of the configuration.",
		Labels: []string{
			probes.LabelObject, "package", "installed", "candidate", "class", "advisory", "state", probes.LabelOwner,
		},
		Values: map[string][]string{"class": updates.Classes(), "advisory": updates.Advisories(), "state": updates.States()},
	}
	securityKnown     = perObject("security_known", "Whether the metadata tells security updates from others, 0 or 1.")
	busy              = perObject("busy", "Whether the package manager is at work now, from its locks and journals, 0 or 1.")
	lastRefresh       = perObject("metadata_last_refresh_timestamp_seconds", "When the metadata of the repository was last refreshed with success, from the change times of its files.")
	refreshDeadline   = perObject("metadata_deadline_timestamp_seconds", "By when the metadata must be refreshed again: the last refresh, or when the repository was first seen, and the deadline of the configuration.")
	validUntil        = perObject("metadata_valid_until_timestamp_seconds", "Until when the publisher lets the metadata be used, from the metadata.")
	published         = perObject("metadata_published_timestamp_seconds", "When the publisher made the metadata, from the metadata.")
	publishedDeadline = perObject("metadata_published_deadline_timestamp_seconds", "By when an archive of security updates must be published anew: the last publication and the deadline of the configuration.")
	lastUpgrade       = perObject("last_upgrade_timestamp_seconds", "When packages were last upgraded, from the logs of the package manager.")
	automatic         = perObject("automatic_enabled", "Whether the host is set up to install updates by itself, 0 or 1, from the configuration of the package manager.")
	automaticLast     = perObject("automatic_last_success_timestamp_seconds", "When the automatic installation last succeeded, from its stamps and logs.")
	automaticDue      = perObject("automatic_deadline_timestamp_seconds", "By when the automatic installation must succeed again: the last success, or when it was first seen, and the deadline of the configuration.")
)

// perObject declares a metric with one value for each object.
func perObject(name, help string) *probes.Metric {
	return &probes.Metric{Name: "hygiene_patch_" + name, Help: help, Labels: []string{probes.LabelObject, probes.LabelOwner}}
}

// Spec describes the probe.
func Spec() probes.Spec {
	return probes.Spec{
		Name:    "patch",
		Summary: "Patches: pending updates and since when they have been available, the freshness of the metadata, automatic updates.",
		Metrics: slices.Concat([]*probes.Metric{
			pending, oldestPending, deadline, pendingInfo, securityKnown, busy,
			lastRefresh, refreshDeadline, validUntil, published, publishedDeadline, lastUpgrade,
			automatic, automaticLast, automaticDue,
		}, systemMetrics()),
		Config: func() probes.Config { return defaultConfig() },
	}
}
