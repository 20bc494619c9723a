package board

func agent() Board {
	return Board{
		UID: "hygiene-agent", Title: "Hygiene / Agents",
		Description: "Whether the agents themselves are well: their probes, their rules, their state and their cost.",
		Variables:   []string{"job", "instance"},
		Panels: []Panel{
			stat("Agents", "Agents that Prometheus reaches.", number, "count("+of("up")+" == 1)", Step{Color: good}),
			count("Silent", "Agents that Prometheus does not reach.", bad, "count("+of("up")+" == 0)"),
			count("Stale probes", "Probes that should have succeeded by now.", bad, "count("+of("hygiene_probe_due_timestamp_seconds")+" <= time())"),
			count("Panics", "Runs of probes that panicked since the start of the agents.", bad, "sum("+of("hygiene_probe_panics_total")+")"),
			count("State not saved", "Agents that could not save what they remember.", bad, "count("+of("hygiene_state_last_write_successful")+" == 0)"),
			count("Configuration refused", "Agents that work with an older configuration, because the new one is wrong.", notice, "count("+of("hygiene_config_last_reload_successful")+" == 0)"),

			lines("Duration of runs", "How long the slowest run of each probe took.", seconds,
				Query{Expr: "max by (name) (" + of("hygiene_probe_duration_seconds") + ")", Legend: "{{name}}"}),
			lines("Not inspected", "Objects that could not be inspected, by reason.", number,
				Query{Expr: "sum by (reason) (" + of("hygiene_probe_faulted_objects") + ")", Legend: "{{reason}}"}),
			lines("Time since all rules were evaluated", "Time since each agent last evaluated all its rules; above a few minutes it is stuck.", seconds,
				Query{Expr: of("hygiene_agent_time_seconds") + " - on (job, instance) " + of("hygiene_rules_last_evaluation_timestamp_seconds"), Legend: "{{instance}}"}),
			lines("Difference of the clocks", "How far the clock of each agent is off from that of Prometheus.", seconds,
				Query{Expr: "abs(" + of("hygiene_agent_time_seconds") + " - timestamp(" + of("hygiene_agent_time_seconds") + "))", Legend: "{{instance}}"}),
			lines("Memory", "Resident memory of each agent.", size, Query{Expr: of("process_resident_memory_bytes"), Legend: "{{instance}}"}),
			lines("Processor", "Share of one processor that each agent takes.", ratio, Query{Expr: "rate(" + of("process_cpu_seconds_total") + "[$__rate_interval])", Legend: "{{instance}}"}),
			table("Versions", "What runs where.",
				[]Column{label("instance", "Host"), label("version", "Version"), label("revision", "Revision"), label("goversion", "Go")},
				of(anchor)).wide(12),
			table("Not applicable", "Probes that found nothing of their kind on a host. That is nothing to worry about, unless there should be something.",
				[]Column{label("instance", "Host"), label("name", "Probe")},
				of("hygiene_probe_applicable")+" == 0").wide(12).quiet(),
		},
	}
}
