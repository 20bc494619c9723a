package board

func certificates() Board {
	leaf := func(metric string) string {
		return owned("hygiene_certificate_"+metric, `slot=~"leaf.*|chain.*"`)
	}
	return Board{
		UID: "hygiene-certificates", Title: "Hygiene / Certificates",
		Description: "When certificates expire, which renewal is late, what is wrong with them, and whether what is served is what lies on disk.",
		Variables:   []string{"job", "instance", "owner"},
		Panels: []Panel{
			count("Expired", "Certificates that are no longer valid, in files and at endpoints.", bad, "count("+leaf("not_after_timestamp_seconds")+" <= time())"),
			count("Renewal overdue", "Certificates that should have been renewed by now.", notice, "count("+leaf("renewal_overdue_timestamp_seconds")+" <= time())"),
			count("Findings", "Checks that certificates fail.", notice, "sum("+of("hygiene_certificate_findings", `result="fail"`)+")"),
			count("Not checked", "Checks of certificates that could not be made, such as of a key that may not be read.", unknown, "sum("+of("hygiene_certificate_findings", `result="unknown"`)+")"),
			count("Served, not reloaded", "Listeners that serve an older certificate than lies on disk.", bad, "sum("+owned("hygiene_certificate_served_outdated")+")"),
			stat("Next expiry", "Time until the first valid certificate expires.", seconds, "min("+left(leaf("not_after_timestamp_seconds")+" > time()")+")", below(3*86400, 14*86400)...),

			table("Certificates", "All certificates, the first to expire on top.",
				[]Column{
					label("instance", "Host"), label("object", "Object"), label("slot", "Slot"), label("owner", "Owner"),
					value(0, "Expires", fromNow), value(1, "Due", fromNow), value(2, "Overdue", fromNow),
				},
				"sort("+milliseconds(leaf("not_after_timestamp_seconds"))+")",
				milliseconds(leaf("renewal_due_timestamp_seconds")),
				milliseconds(leaf("renewal_overdue_timestamp_seconds")),
			).high(12),
			table("Findings", "What is wrong with certificates, apart from their age.",
				[]Column{label("instance", "Host"), label("object", "Object"), label("slot", "Slot"), label("finding", "Finding"), label("owner", "Owner")},
				owned("hygiene_certificate_finding")+" == 1").wide(12).quiet(),
			table("Endpoints that fail", "Endpoints that could not be inspected or verified, by the stage and the reason.",
				[]Column{label("instance", "Host"), label("object", "Endpoint"), label("address", "Address"), label("stage", "Stage"), label("reason", "Reason")},
				owned("hygiene_certificate_endpoint_failure")+" == 1").wide(12).quiet(),
			bars("Checks", "Results of each check over all certificates.", number,
				Query{Expr: "sum by (finding, result) (" + of("hygiene_certificate_findings", `result!="pass"`) + ") > 0", Legend: "{{finding}} {{result}}"}, above(1, 10)...).quiet(),
			lines("Time until the first expiry", "Time until the first certificate of each host expires.", seconds,
				Query{Expr: "min by (instance) (" + left(leaf("not_after_timestamp_seconds")) + ")", Legend: "{{instance}}"}),
			table("Sources", "Whether everything that a source names could be read.",
				[]Column{label("instance", "Host"), label("source", "Source"), value(0, "Complete", none, Word{0, "no", bad}, Word{1, "yes", good}), value(1, "Read", number), value(2, "With a fault", number)},
				"max by (job, instance, source) ("+of("hygiene_certificate_source_success")+")",
				"sum by (job, instance, source) ("+of("hygiene_certificate_source_objects", `state="ok"`)+")",
				"sum by (job, instance, source) ("+of("hygiene_certificate_source_objects", `state="fault"`)+")",
			),
		},
	}
}
