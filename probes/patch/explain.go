package patch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/updates"
)

// Names lists the packages that Explain can speak of, besides the objects.
func (p *probe) Names() []string {
	var names []string
	for _, m := range p.managers {
		for _, u := range m.judged {
			names = append(names, u.Package)
		}
		if m.Packages != nil {
			names = append(names, m.Packages()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Explain shows the evidence behind a package manager, a repository or a
// package, as the last run saw it.
func (p *probe) Explain(_ context.Context, object string) (string, error) {
	var b strings.Builder
	for _, m := range p.managers {
		if m.Name == object {
			m.explain(&b)
		}
		for _, r := range m.Repositories {
			if m.object(r) == object {
				explainRepository(&b, r)
			}
		}
		p.explainPackage(&b, m, object)
	}
	if object == probes.HostObject {
		p.system.explain(&b)
	}
	for _, s := range p.system.processes.Services {
		if s.Unit == object {
			explainService(&b, s)
		}
	}
	if b.Len() == 0 {
		return "Nothing was read here in the last run.\n", nil
	}
	return b.String(), nil
}

// explain describes a package manager, and each of its updates in a line.
func (m manager) explain(b *strings.Builder) {
	lines(b, "", m.Notes)
	lines(b, "", m.Automatic.Notes)
	for _, err := range m.Incomplete {
		fmt.Fprintf(b, "There may be more updates than these: %v.\n", err)
	}
	if !m.SecurityKnown {
		fmt.Fprintf(b, "The metadata does not tell security updates from others.\n")
	}
	if len(m.judged) == 0 {
		read := ""
		if len(m.Incomplete) > 0 {
			read = "that could be read "
		}
		fmt.Fprintf(b, "No metadata %sknows a newer version of anything that is installed.\n", read)
		return
	}
	now := time.Now()
	fmt.Fprintf(b, "\n%d updates; \"explain patch PACKAGE\" shows the evidence of one.\n", len(m.judged))
	for _, u := range m.judged {
		fmt.Fprintf(b, "  %-8s %-12s %s %s -> %s, since %s\n", u.class, u.State, u.Package, u.Installed, u.Candidate, when(u.since, now))
	}
}

// explainPackage describes one installed package of a package manager.
func (p *probe) explainPackage(b *strings.Builder, m manager, name string) {
	for _, u := range m.judged {
		if u.Package == name {
			u.explain(b, p.config.Deadlines)
		}
	}
	if m.Installed != nil {
		lines(b, "", m.Installed(name))
	}
}

// explain describes one update.
func (u update) explain(b *strings.Builder, d Deadlines) {
	now := time.Now()
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(b, "%s\n", u.Package)
	line("installed", "%s", u.Installed)
	line("candidate", "%s", u.Candidate)
	line("class", "%s, %s", u.class, u.advisory)
	line("state", "%s", u.State)
	lines(b, "               ", u.Notes)
	line("available", "at the latest since %s", when(u.since, now))
	line("", "%s", u.why)
	if u.missing() {
		line("deadline", "%s", when(u.since.Add(d.of(u.class, u.advisory)), now))
	} else {
		line("deadline", "none in this state")
	}
	fmt.Fprintf(b, "  newer versions\n")
	for _, r := range u.Releases {
		kind := "other"
		if r.Security {
			kind = "security"
		}
		fmt.Fprintf(b, "    %s, %s: %s\n", r.Version, kind, r.Evidence)
	}
}

// explainRepository describes how fresh the metadata of a repository is.
func explainRepository(b *strings.Builder, r updates.Repository) {
	now := time.Now()
	for _, fact := range []struct {
		name string
		at   time.Time
	}{{"refreshed", r.Refreshed}, {"published", r.Published}, {"valid until", r.ValidUntil}} {
		text := "unknown"
		if !fact.at.IsZero() {
			text = when(fact.at, now)
		}
		fmt.Fprintf(b, "  %-12s %s\n", fact.name, text)
	}
	lines(b, "  ", r.Notes)
	if r.Err != nil {
		fmt.Fprintf(b, "  unreadable   %v\n", r.Err)
	}
}

func lines(b *strings.Builder, indent string, list []string) {
	for _, line := range list {
		fmt.Fprintf(b, "%s%s\n", indent, line)
	}
}

// when prints an instant and how far it is from now.
func when(at, now time.Time) string {
	span := at.Sub(now).Abs().Truncate(time.Minute)
	text := strings.TrimSuffix(span.String(), "0s")
	if span >= 2*day {
		text = fmt.Sprintf("%d days", span/day)
	}
	format := "%s, in %s"
	if at.Before(now) {
		format = "%s, %s ago"
	}
	return fmt.Sprintf(format, at.Format("2006-01-02 15:04:05 MST"), text)
}
