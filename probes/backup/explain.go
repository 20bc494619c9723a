package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/backup/job"
)

// Explain shows what is known of a job: each copy, its verdict and the evidence.
func (p *probe) Explain(_ context.Context, object string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	now := p.now()
	for _, place := range p.places {
		if place.job.Name != object {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		p.explain(&b, place, now)
	}
	if b.Len() == 0 {
		return "No job of the configuration has this name.\n", nil
	}
	return b.String(), nil
}

func (p *probe) explain(b *strings.Builder, place *place, now time.Time) {
	s, r := p.seen[place.name()], p.ledger.copy(place.name(), now)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(b, "Copy %s, of the kind %s\n", place.conf.Name, place.kind.Name)
	answer := p.judge(place)
	text := string(answer.Verdict)
	if answer.Reason != "" {
		text += ": " + answer.Reason
	}
	if answer.Detail != "" {
		text += "; " + answer.Detail
	}
	line("verdict", "%s", text)
	at, deadline := p.freshness(place)
	if at.IsZero() {
		line("newest", "none; one is due by %s", when(deadline, now))
	} else {
		line("newest", "%s; another is due by %s", when(at, now), when(deadline, now))
	}
	for i, point := range s.Points[:min(len(s.Points), 5)] {
		mark := ""
		if r.bad(s, i) {
			mark = "  bad"
		}
		line("backup", "%s of %s%s", point.ID, when(point.At, now), mark)
	}
	if len(s.Points) > 5 {
		line("", "and %d older", len(s.Points)-5)
	}
	p.explainDepths(line, place, r, now)
	for _, tool := range r.Tools {
		line("judge", "%s", strings.TrimSpace(tool.Name+" "+tool.Version))
	}
	if r.Restore.Bytes > 0 {
		line("restore", "%d bytes in %s, %s", r.Restore.Bytes, r.Restore.Duration.Round(time.Millisecond), when(r.Restore.At, now))
	}
	if s.Busy != "" {
		line("waiting", "%s", s.Busy)
	}
	if len(s.Devices) > 0 {
		line("lies on", "%s", strings.Join(s.Devices, ", "))
	}
	for _, note := range slices.Concat(s.Notes, r.Notes)[:min(len(s.Notes)+len(r.Notes), 20)] {
		line("note", "%s", note)
	}
}

func (p *probe) explainDepths(line func(string, string, ...any), place *place, r *record, now time.Time) {
	for _, d := range job.Depths() {
		last, a := r.Proofs[d].At, r.Attempts[d]
		interval := place.job.Verify.interval(d)
		if last.IsZero() && a.At.IsZero() && interval == 0 {
			continue
		}
		text := "never"
		if !last.IsZero() {
			text = "good " + when(last, now)
		}
		if a.At.After(last) && a.Judgement.Verdict != job.Good {
			text += fmt.Sprintf("; tried %s: %s %s; %s", when(a.At, now), a.Judgement.Verdict, a.Judgement.Reason, a.Judgement.Detail)
		}
		line(string(d), "%s", text)
	}
}

// when prints an instant and how far it is from now.
func when(at, now time.Time) string {
	span := at.Sub(now).Abs().Truncate(time.Minute)
	text := strings.TrimSuffix(span.String(), "0s")
	if span >= 2*day {
		text = fmt.Sprintf("%d days", span/day)
	}
	if text == "" {
		text = "a moment"
	}
	stamp := at.Format("2006-01-02 15:04:05 MST")
	if at.Before(now) {
		return fmt.Sprintf("%s, %s ago", stamp, text)
	}
	return fmt.Sprintf("%s, in %s", stamp, text)
}
