package policy

import "hygiene_exporter/probes"

// Escalation is the section "escalation" of the configuration: when which tier
// of people is told.
type Escalation struct {
	// Time zone of working hours, holidays, maintenance windows and dates, such as Europe/Berlin; Local is the zone of the host.
	Timezone string `yaml:"timezone"`
	// The hours in which tickets escalate.
	WorkingHours WorkingHours `yaml:"working_hours"`
	// Ladders by name: critical, warning, owner/NAME or check/PROBE/CHECK, the last two optionally with /critical or /warning behind. A problem takes the one of its check, else that of its owner, else that of its severity; a name with a severity goes before the same name without. Info has none.
	Policies map[string]Ladder `yaml:"policies"`
	// How long after boot no new problem opens, unless it had already lasted long enough before; at most 1h. A change takes effect at the next start.
	StartupGrace probes.Duration `yaml:"startup_grace"`
}

// WorkingHours is the calendar "working_hours".
type WorkingHours struct {
	// Days of the week on which the hours start: mon, tue, wed, thu, fri, sat, sun.
	Days []string `yaml:"days"`
	// Start of the day, as HH:MM.
	From string `yaml:"from"`
	// End of the day, as HH:MM up to 24:00; at or before from it lies on the next day.
	To string `yaml:"to"`
	// Days without working hours, as YYYY-MM-DD.
	Holidays []string `yaml:"holidays"`
}

// A Ladder says after which time each tier is told.
type Ladder struct {
	// Time from the opening of the problem to each tier, at most three, not falling.
	Tiers []probes.Duration `yaml:"tiers"`
	// When a tier may fall due: always or working_hours; a time outside is moved to the next one inside. Empty means always.
	Calendar string `yaml:"calendar"`
}

// An Override changes who is told of matching problems, or accepts a risk until
// a date. The first match wins.
type Override struct {
	// Probe to which it applies; empty means every probe.
	Probe string `yaml:"probe"`
	// Glob over the object, in which ** crosses slashes; empty means every object.
	Object string `yaml:"object"`
	// Check to which it applies; empty means every check.
	Check string `yaml:"check"`
	// New owner; empty keeps the owner.
	Owner string `yaml:"owner"`
	// New severity: critical, warning or info, or none to accept the risk; empty keeps the severity.
	Severity string `yaml:"severity"`
	// Last day on which it applies, as YYYY-MM-DD; required with severity none.
	Until string `yaml:"until"`
	// Why; required with severity none.
	Reason string `yaml:"reason"`
	// Who decided it.
	By string `yaml:"by"`
}

// A Maintenance is a planned window in which problems neither page nor are forgotten.
type Maintenance struct {
	// Name of the window.
	Name string `yaml:"name"`
	// Start of the window as a cron line of five fields, in the time zone of the section escalation. A start that the clock skips in spring is made up for as soon as it has jumped; one that the clock shows twice in autumn counts twice.
	Cron string `yaml:"cron"`
	// Length of the window.
	Duration probes.Duration `yaml:"duration"`
	// Probes to which it applies; empty means all.
	Probes []string `yaml:"probes"`
}
