package certificate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hygiene_exporter/probes/certificate/bundle"
)

// Explain describes the certificates of a file as the last run saw them.
func (p *probe) Explain(_ context.Context, object string) (string, error) {
	f, known := p.files[object]
	if !known {
		return "Nothing was read here in the last run.\n", nil
	}
	var source *Source
	for i := range p.config.Sources {
		if source == nil && p.config.Sources[i].covers(object) {
			source = &p.config.Sources[i]
		}
	}
	if source == nil {
		source = &Source{}
	}
	var b strings.Builder
	if resolved, err := p.host.Files.Resolve(object); err == nil && resolved != object {
		fmt.Fprintf(&b, "The path leads to %s.\n", resolved)
	}
	fmt.Fprintf(&b, "It is named by the source %q and holds %d certificates.\n", source.Name, len(f.bundle.Certificates))
	if f.facts.trustStore {
		fmt.Fprintf(&b, "It is a trust store: its certificates are counted, and nobody is told of one by one.\n")
		return b.String(), nil
	}
	now := time.Now()
	names := slots(f.bundle.Certificates)
	for i, c := range f.bundle.Certificates {
		b.WriteString("\n" + names[i] + "\n")
		source.explain(&b, c, names[i], now)
	}
	for _, err := range f.bundle.Errors {
		fmt.Fprintf(&b, "\nUnreadable: %v.\n", err)
	}
	return b.String(), nil
}

// explain describes one certificate.
func (s *Source) explain(b *strings.Builder, c bundle.Certificate, slot string, now time.Time) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("subject", "%s", c.Subject)
	line("issuer", "%s", c.Issuer)
	if len(c.Names) > 0 {
		line("names", "%s", nameList(c.Names))
	}
	line("serial", "%s", c.Serial)
	line("sha256", "%s", c.Fingerprint)
	line("key", "%s, signed with %s", c.Key, c.Signature)
	line("valid from", "%s", when(c.NotBefore, now))
	line("valid until", "%s", when(c.NotAfter, now))
	d, ok := s.deadlines(c, slot)
	if !ok {
		line("renewal", "no deadlines: in a bundle without a leaf, an old certificate beside its successor is as it should be; give the source a policy under renew if it should have some")
	} else {
		line("renew from", "%s", when(d.due, now))
		line("overdue", "%s", when(d.overdue, now))
		line("critical", "%s", when(d.critical, now))
	}
	if c.Nonconforming != nil {
		line("finding", "%s: strict software refuses the certificate: %v", nonconforming, c.Nonconforming)
	}
}

// when prints an instant and how far it is from now.
func when(at, now time.Time) string {
	span := at.Sub(now).Abs().Truncate(time.Minute)
	text := span.String()
	if span >= 2*day {
		text = fmt.Sprintf("%d days", span/day)
	}
	text = strings.TrimSuffix(text, "0s")
	if at.Before(now) {
		return fmt.Sprintf("%s, %s ago", at.Format("2006-01-02 15:04:05 MST"), text)
	}
	return fmt.Sprintf("%s, in %s", at.Format("2006-01-02 15:04:05 MST"), text)
}
