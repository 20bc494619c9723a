package board

func redundancy() Board {
	name := func(metric string) string { return "hygiene_redundancy_" + metric }
	states := []Word{{1, "yes", neutral}}
	inState := func(title, description, color, state string) Panel {
		return count(title, description, color, "sum("+owned(name("state"), `state=~"`+state+`"`)+")")
	}
	return Board{
		UID: "hygiene-redundancy", Title: "Hygiene / Redundancy",
		Description: "How many more failures everything that exists more than once survives, and what vanished.",
		Variables:   []string{"job", "instance", "owner"},
		Panels: []Panel{
			inState("Failed", "Arrays, bonds and paths that do not work.", bad, "failed|missing"),
			inState("Redundancy lost", "What works and does not survive another failure, though it should.", bad, "lost"),
			inState("Reduced", "What survives fewer failures than by design.", notice, "reduced"),
			inState("Rebuilding", "What is being made whole again.", notice, "rebuilding"),
			inState("Not known", "What could not be judged.", unknown, "unknown"),
			count("Members missing", "Members that were there and are not there at all now.", bad, "sum("+owned(name("members_missing"))+")"),

			table("Objects", "Everything redundant, the least redundant on top: failures survived from now on against those by design.",
				[]Column{
					label("instance", "Host"), label("object", "Object"), label("owner", "Owner"),
					value(0, "Survives", number), value(1, "By design", number), value(2, "Active", number), value(3, "Expected", number), value(4, "Spares", number),
				},
				"sort(max without (kind) ("+owned(name("failures_tolerated"))+"))",
				"max without (kind) ("+owned(name("failures_tolerated_design"))+")",
				"max without (kind) ("+owned(name("members_active"))+")",
				"max without (kind) ("+owned(name("members_expected"))+")",
				"max without (kind) ("+owned(name("spares_available"))+")",
			).high(12),
			table("State", "The state of each object that is not simply redundant.",
				[]Column{label("instance", "Host"), label("object", "Object"), label("state", "State"), value(0, "Now", none, states...)},
				owned(name("state"), `state!~"redundant|none"`)+" == 1").wide(12).quiet(),
			table("Members that do nothing", "Members that are expected and do not do their part.",
				[]Column{label("instance", "Host"), label("object", "Object"), label("member", "Member")},
				owned(name("member_active"))+" == 0").wide(12).quiet(),
			table("Degraded since", "Since when redundancy is less than by design.",
				[]Column{label("instance", "Host"), label("object", "Object"), value(0, "Since", fromNow)},
				milliseconds(owned(name("degraded_since_timestamp_seconds")))).wide(12).quiet(),
			lines("Rebuilds and checks", "How far running rebuilds, resyncs and checks are.", ratio,
				Query{Expr: owned(name("sync_ratio")), Legend: "{{instance}} {{object}}"}).quiet(),
			table("Cannot be verified", "Where the redundancy may be less than it seems, because something does not tell.",
				[]Column{label("instance", "Host"), label("object", "Object"), label("reason", "Reason")},
				owned(name("unverifiable"))+" == 1").wide(12).quiet(),
			bars("Errors of members", "Errors that the systems have counted on their members.", number,
				Query{Expr: "topk(20, " + owned(name("member_errors")) + " > 0)", Legend: "{{instance}} {{object}} {{member}}"}, above(1, 10)...).quiet(),
		},
	}
}
