package drill

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// Explain shows the calendar and the evidence of a drill.
func (p *Probe) Explain(_ context.Context, object string) (string, error) {
	all, err := p.Standings()
	if err != nil {
		return "", err
	}
	now := p.now()
	for _, s := range all {
		if s.Name == object {
			return s.text(now), nil
		}
	}
	return "No drill of the configuration has this name.\n", nil
}

// shownRecords is how many records a person sees at once.
const shownRecords = 10

func (s *Standing) text(now time.Time) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	if s.Removed {
		fmt.Fprintf(&b, "Drill that is configured no more; its evidence is kept\n")
	} else {
		fmt.Fprintf(&b, "Drill of the kind %s, configured since %s\n", s.Kind, stamp(s.Configured))
		switch {
		case now.Before(s.Deadline):
			line("due", "%s, in %s", stamp(s.Deadline), span(s.Deadline.Sub(now)))
		default:
			line("due", "%s, overdue for %s", stamp(s.Deadline), span(now.Sub(s.Deadline)))
		}
	}
	if s.Success.IsZero() {
		line("passed", "never")
	} else {
		line("passed", "%s, %s ago", stamp(s.Success), span(now.Sub(s.Success)))
	}
	if s.Objective > 0 {
		line("may take", "%s", seconds(s.Objective))
	}
	if s.Seconds > 0 {
		line("took", "%s", seconds(s.Seconds))
	}
	if s.Recovered != nil && !*s.Recovered {
		line("recovered", "no: after the last drill not everything worked")
	}
	switch s.Kind {
	case command:
		line("run", "hygiene_exporter drill run %s", s.Name)
	case failover:
		line("run", "hygiene_exporter drill run %s; with --plan it says what it would do, and does nothing", s.Name)
	}
	for i := len(s.Records) - 1; i >= max(0, len(s.Records)-shownRecords); i-- {
		line("evidence", "%s", s.Records[i].Text())
	}
	if more := len(s.Records) - shownRecords; more > 0 {
		line("", "and %d older", more)
	}
	return b.String()
}

// Text is a record in one line, for a person.
func (r *Record) Text() string {
	parts := []string{fmt.Sprintf("%s %s %s", stamp(r.At), r.How, r.Result)}
	if r.Unfinished {
		parts = append(parts, "begun, and its end is not recorded")
	}
	if r.Count > 1 {
		parts = append(parts, fmt.Sprintf("the last of %d on that day", r.Count))
	}
	if r.Seconds > 0 {
		parts = append(parts, "in "+seconds(r.Seconds))
	}
	if r.Recovered != nil && !*r.Recovered {
		parts = append(parts, "did not recover")
	}
	if r.By != "" {
		parts = append(parts, "by "+r.By)
	}
	for _, key := range []string{"object", "depth", "from", "to", "put_back", "reason", "why"} {
		if value := r.Detail[key]; value != "" {
			parts = append(parts, key+" "+value)
		}
	}
	if r.Note != "" {
		parts = append(parts, fmt.Sprintf("%q", r.Note))
	}
	if r.SHA256 != "" {
		parts = append(parts, fmt.Sprintf("%s sha256 %s", r.File, r.SHA256))
	}
	return strings.Join(parts, ", ")
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

func span(d time.Duration) string {
	if days := d / (24 * time.Hour); days >= 2 {
		return fmt.Sprintf("%d days", days)
	}
	return probes.Duration(d.Truncate(time.Second)).String()
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}
