package board

func patches() Board {
	security := func(metric string) string { return owned("hygiene_patch_"+metric, `class="security"`) }
	return Board{
		UID: "hygiene-patches", Title: "Hygiene / Patches",
		Description: "How long hosts have been known-vulnerable, whether they learn of updates, and what they still run.",
		Variables:   []string{"job", "instance", "owner"},
		Panels: []Panel{
			count("Security updates", "Security updates that are available and not installed.", notice, "sum("+security("pending")+")"),
			stat("Oldest security update", "How long the oldest pending security update has been available, at least.", seconds,
				"max("+age(security("oldest_pending_timestamp_seconds"))+") or vector(0)", above(3*86400, 14*86400)...),
			count("Overdue", "Hosts on which a security update is pending beyond its deadline.", bad, "count(count by (job, instance) ("+security("deadline_timestamp_seconds")+" <= time()))"),
			count("Stale lists", "Repositories whose list of updates is older than it may be: what is pending there is not known.", unknown, "count("+owned("hygiene_patch_metadata_deadline_timestamp_seconds")+" <= time())"),
			count("Reboot needed", "Hosts that need a reboot for what is installed to take effect.", notice, "sum("+owned("hygiene_patch_reboot_required")+")"),
			count("Stale services", "Services that run code which has been replaced.", notice, "count("+owned("hygiene_patch_outdated_processes")+" > 0)"),

			table("Oldest pending", "The oldest pending update of each class, with its deadline.",
				[]Column{
					label("instance", "Host"), label("object", "Manager"), label("class", "Class"), label("advisory", "Advisory"), label("owner", "Owner"),
					value(0, "Available", fromNow), value(1, "Deadline", fromNow),
				},
				"sort("+milliseconds(owned("hygiene_patch_oldest_pending_timestamp_seconds"))+")",
				milliseconds(owned("hygiene_patch_deadline_timestamp_seconds"))).quiet(),
			table("Pending packages", "Packages with a newer version, the oldest first; only as many as the agent exposes.",
				[]Column{label("instance", "Host"), label("package", "Package"), label("installed", "Installed"), label("candidate", "Candidate"), label("class", "Class"), label("advisory", "Advisory")},
				owned("hygiene_patch_pending_info")).quiet(),
			table("Lists", "When each repository was last refreshed.",
				[]Column{label("instance", "Host"), label("object", "Repository"), value(0, "Refreshed", fromNow), value(1, "Stale from", fromNow)},
				milliseconds(owned("hygiene_patch_metadata_last_refresh_timestamp_seconds")),
				milliseconds(owned("hygiene_patch_metadata_deadline_timestamp_seconds"))).wide(12),
			table("Reboot", "Hosts that need a reboot, since when, and by when.",
				[]Column{label("instance", "Host"), value(0, "Since", fromNow), value(1, "Deadline", fromNow)},
				milliseconds("max by (job, instance) ("+owned("hygiene_patch_reboot_required_since_timestamp_seconds")+")"),
				milliseconds("max by (job, instance) ("+owned("hygiene_patch_reboot_deadline_timestamp_seconds")+")")).wide(12).quiet(),
			table("End of support", "When the support of each system ends, by phase.",
				[]Column{label("instance", "Host"), label("phase", "Phase"), value(0, "Ends", fromNow)},
				milliseconds(owned("hygiene_patch_support_end_timestamp_seconds"))).wide(12),
			table("Services that run replaced code", "Units whose processes still run files that have been replaced or removed.",
				[]Column{label("instance", "Host"), label("object", "Unit"), value(0, "Processes", number)},
				owned("hygiene_patch_outdated_processes")+" > 0").wide(12).quiet(),
			lines("Pending updates", "Pending updates by class.", number,
				Query{Expr: "sum by (class) (" + owned("hygiene_patch_pending") + ")", Legend: "{{class}}"}),
			lines("Age of the oldest security update", "The oldest pending security update of each host.", seconds,
				Query{Expr: "max by (instance) (" + age(security("oldest_pending_timestamp_seconds")) + ")", Legend: "{{instance}}"}).quiet(),
		},
	}
}
