package board

func host() Board {
	return Board{
		UID: "hygiene-host", Title: "Hygiene / Host",
		Description: "Everything about one host: its problems, how far the agent sees, and what is due next.",
		Variables:   []string{"job", "instance", "owner"},
		Panels: []Panel{
			count("Critical", "Open critical problems, taken or not.", bad, "count("+owned("hygiene_problem_since_timestamp_seconds", `severity="critical"`)+")"),
			count("Warning", "Open warnings, taken or not.", notice, "count("+owned("hygiene_problem_since_timestamp_seconds", `severity="warning"`)+")"),
			count("Not inspected", "Objects that should be inspected and could not be.", unknown, "sum("+of("hygiene_probe_faulted_objects")+")"),
			count("Probes failing", "Probes whose last run failed as a whole.", bad, "count("+of("hygiene_probe_success")+" == 0)"),
			stat("Agent answers", "Whether Prometheus reaches the agent.", number, "min("+of("up")+")", Step{Color: bad}, Step{From: 1, Color: good}).words(Word{0, "no", bad}, Word{1, "yes", good}),
			stat("Reboot", "Whether what is installed needs a reboot to take effect.", number, "max("+of("hygiene_patch_reboot_required")+")", Step{Color: good}, Step{From: 1, Color: notice}).words(Word{0, "not needed", good}, Word{1, "needed", notice}),

			table("Waiting for somebody", "Open problems that nobody has taken, with the time at which the next tier is told.",
				problemColumns(), problemQueries(owned)...).quiet(),
			table("Taken", "Open problems that somebody has taken, and until when.",
				[]Column{label("severity", "Severity"), label("probe", "Probe"), label("check", "Check"), label("object", "Object"), label("owner", "Owner"), value(0, "Until", fromNow)},
				milliseconds(owned("hygiene_problem_ack_expiry_timestamp_seconds"))).high(5).quiet(),
			table("Probes", "Each probe: whether its last run succeeded, how long it took, and how much it could not look at.",
				[]Column{
					label("name", "Probe"), value(0, "Succeeded", none, Word{0, "no", bad}, Word{1, "yes", good}),
					value(1, "Applicable", none, yesNo()...), value(2, "Last success", fromNow), value(3, "Took", seconds), value(4, "Not inspected", number),
				},
				"max by (name) ("+of("hygiene_probe_success")+")",
				"max by (name) ("+of("hygiene_probe_applicable")+")",
				"max by (name) ("+milliseconds(of("hygiene_probe_last_success_timestamp_seconds"))+")",
				"max by (name) ("+of("hygiene_probe_duration_seconds")+")",
				"sum by (name) ("+of("hygiene_probe_faulted_objects")+")",
			).wide(12),
			table("Not inspected", "What should be inspected and could not be, and since when.",
				[]Column{label("name", "Probe"), label("object", "Object"), label("reason", "Reason"), value(0, "Since", fromNow)},
				milliseconds(of("hygiene_probe_fault_since_timestamp_seconds"))).wide(12).quiet(),
			table("Due next", "The deadlines that come first: what nobody does until then becomes a problem.",
				[]Column{label("what", "What"), label("object", "Object"), label("owner", "Owner"), value(0, "Due", fromNow)},
				"bottomk(20, "+milliseconds(`label_replace({__name__=~"hygiene_(certificate_renewal_overdue|patch|patch_metadata|patch_reboot|patch_support_end|redundancy_scrub|backup_rpo|backup_verify|drill)(_deadline)?_timestamp_seconds", job=~"$job", instance=~"$instance", owner=~"$owner"} > time(), "what", "$1", "__name__", "hygiene_(.+)_timestamp_seconds")`)+")",
			),
			lines("Open problems", "Open problems by probe.", number,
				Query{Expr: "count by (probe) (" + owned("hygiene_problem_since_timestamp_seconds") + ") or on () vector(0)", Legend: "{{probe}}"}).wide(24),
		},
	}
}
