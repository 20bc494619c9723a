package board

func ports() Board {
	violations := func(policy string) string {
		return "count(" + owned("hygiene_port_policy_violation_since_timestamp_seconds", `policy=~"`+policy+`"`) + ")"
	}
	return Board{
		UID: "hygiene-ports", Title: "Hygiene / Ports",
		Description: "What listens, who can reach it, and whether it was meant.",
		Variables:   []string{"job", "instance", "owner"},
		Panels: []Panel{
			count("Unexpected", "Listeners that no rule of the policy allows.", notice, violations("unexpected")),
			count("Forbidden", "Listeners that the policy forbids.", bad, violations("forbidden")),
			count("Dangerous", "Services without authentication on an address that others can reach.", bad, violations("dangerous")),
			count("Exception expired", "Listeners that were allowed for a time which is over.", notice, violations("expired")),
			count("Missing", "Listeners that must be there and are not.", bad, "count("+owned("hygiene_port_required_missing_since_timestamp_seconds")+")"),
			count("Not inspected", "Network namespaces into which the agent could not look.", unknown, "sum("+of("hygiene_port_namespaces", `state="skipped"`)+")"),

			table("Violations", "Listeners that are not as they were meant, and since when.",
				[]Column{label("instance", "Host"), label("object", "Listener"), label("exposure", "Exposure"), label("policy", "Policy"), label("owner", "Owner"), value(0, "Since", fromNow)},
				"sort("+milliseconds(owned("hygiene_port_policy_violation_since_timestamp_seconds"))+")").quiet(),
			table("Missing", "Listeners that must be there and are not, and since when.",
				[]Column{label("instance", "Host"), label("object", "Listener"), label("owner", "Owner"), value(0, "Since", fromNow)},
				milliseconds(owned("hygiene_port_required_missing_since_timestamp_seconds"))).wide(12).quiet(),
			table("Exceptions", "Listeners that are allowed for a time, and until when.",
				[]Column{label("instance", "Host"), label("object", "Listener"), label("owner", "Owner"), value(0, "Until", fromNow)},
				"sort("+milliseconds(owned("hygiene_port_exception_expiry_timestamp_seconds"))+")").wide(12).quiet(),
			table("Listeners", "All listeners that the agent exposes.",
				[]Column{label("instance", "Host"), label("object", "Listener"), label("process", "Process"), label("user", "User"), label("executable", "Executable"), label("policy", "Policy")},
				of("hygiene_port_listener_info")).high(12),
			bars("Listeners by exposure", "How many listeners there are, by who can reach them.", number,
				Query{Expr: "sum by (exposure) (" + of("hygiene_port_listeners") + ") > 0", Legend: "{{exposure}}"}),
			lines("Changes", "Listeners that came and went.", perSecond,
				Query{Expr: "sum by (event) (rate(" + of("hygiene_port_changes_total") + "[$__rate_interval]))", Legend: "{{event}}"}),
		},
	}
}
