package certificate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/store"
)

// Explain describes the certificates of a file, or of an entry of one, as the
// last run saw them.
func (p *probe) Explain(_ context.Context, object string) (string, error) {
	if e := p.endpointOf(object); e != nil {
		return p.servers.explain(e, object), nil
	}
	name, f := p.fileOf(object)
	if f == nil {
		return "Nothing was read here in the last run.\n", nil
	}
	source := p.sourceOf(name)
	var b strings.Builder
	if resolved, err := p.host.Files.Resolve(name); err == nil && resolved != name {
		fmt.Fprintf(&b, "The path leads to %s.\n", resolved)
	}
	fmt.Fprintf(&b, "It is named by the source %q and holds %s.\n", source.Name, f.summary())
	now := time.Now()
	for _, part := range f.parts {
		if object == name || object == part.object {
			source.explainPart(&b, part, now)
		}
	}
	for _, crl := range f.crls {
		if object == name || object == objectOf(name, crl.Name) {
			explainCRL(&b, crl, now)
		}
	}
	if object == name {
		for _, err := range f.errs {
			fmt.Fprintf(&b, "\nUnreadable: %v.\n", err)
		}
	}
	return b.String(), nil
}

// fileOf returns the file of an object.
func (p *probe) fileOf(object string) (string, *file) {
	if f, known := p.files[object]; known {
		return object, f
	}
	for i := len(object) - 1; i > 0; i-- { // an alias may contain the character too
		if object[i] != '#' {
			continue
		}
		if f, known := p.files[object[:i]]; known {
			return object[:i], f
		}
	}
	return "", nil
}

// sourceOf returns the first source that names a file.
func (p *probe) sourceOf(name string) *Source {
	i := slices.IndexFunc(p.config.Sources, func(s Source) bool { return s.covers(name) })
	if i < 0 {
		return &Source{}
	}
	return &p.config.Sources[i]
}

// summary says what a file holds.
func (f *file) summary() string {
	certificates := 0
	for _, p := range f.parts {
		certificates += len(p.bundle.Certificates)
	}
	text := fmt.Sprintf("%d certificates", certificates)
	if len(f.parts) > 1 {
		text += fmt.Sprintf(" in %d entries", len(f.parts))
	}
	if len(f.crls) > 0 {
		text += fmt.Sprintf(" and %d revocation lists", len(f.crls))
	}
	if f.kind != store.Unknown {
		text += fmt.Sprintf(" (%s)", f.kind)
	}
	return text
}

func (s *Source) explainPart(b *strings.Builder, p part, now time.Time) {
	if p.facts.trustStore {
		fmt.Fprintf(b, "\n%s is a trust store: its certificates are counted, and nobody is told of one by one.\n", p.object)
		return
	}
	names := slots(p.bundle.Certificates)
	for i, c := range p.bundle.Certificates {
		fmt.Fprintf(b, "\n%s", names[i])
		if strings.Contains(p.object, "#") {
			fmt.Fprintf(b, " of %s", p.object)
		}
		b.WriteString("\n")
		s.explain(b, c, names[i], now)
	}
	for _, err := range p.bundle.Errors {
		fmt.Fprintf(b, "\nUnreadable in %s: %v.\n", p.object, err)
	}
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
	switch {
	case ok:
		line("renew from", "%s", when(d.due, now))
		line("overdue", "%s", when(d.overdue, now))
		line("critical", "%s", when(d.critical, now))
	case strings.HasPrefix(slot, spare):
		line("renewal", "no deadlines: no client needs this certificate, because another chain without it is trusted")
	case !c.NotAfter.IsZero():
		line("renewal", "no deadlines: in a bundle without a leaf, an old certificate beside its successor is as it should be; give the source a policy under renew if it should have some")
	}
	if c.Nonconforming != nil {
		line("finding", "%s: strict software refuses the certificate: %v", nonconforming, c.Nonconforming)
	}
}

func explainCRL(b *strings.Builder, crl store.CRL, now time.Time) {
	fmt.Fprintf(b, "\nrevocation list of %s\n", crl.Issuer)
	fmt.Fprintf(b, "  %-12s %s\n", "made", when(crl.ThisUpdate, now))
	fmt.Fprintf(b, "  %-12s %s\n", "next until", when(crl.NextUpdate, now))
	fmt.Fprintf(b, "  %-12s %d\n", "entries", crl.Entries)
}

// when prints an instant and how far it is from now.
func when(at, now time.Time) string {
	if at.IsZero() {
		return "no limit"
	}
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
