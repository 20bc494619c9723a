package certificate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/store"
)

// Explain describes the certificates of a file, or of an entry of one, as the
// last run saw them.
func (p *probe) Explain(_ context.Context, object string) (string, error) {
	if e := p.endpointOf(object); e != nil {
		return p.servers.explain(e, object), nil
	}
	if strings.HasPrefix(object, listenerPrefix) {
		return p.explainListener(object), nil
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
			part.explain(&b, now)
		}
	}
	for i, list := range f.lists {
		if object == name || object == objectOf(name, list.Name) {
			explainList(&b, list, f.onLists[i], now)
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
	var held []string
	if certificates > 0 || len(f.lists) == 0 {
		held = append(held, counted(certificates, "certificate", "certificates"))
	}
	if len(f.lists) > 0 {
		held = append(held, counted(len(f.lists), "revocation list", "revocation lists"))
	}
	text := strings.Join(held, " and ")
	if len(f.parts) > 1 {
		text += fmt.Sprintf(" in %d entries", len(f.parts))
	}
	if f.kind != store.Unknown {
		text += fmt.Sprintf(" (%s)", f.kind)
	}
	return text
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (p *part) explain(b *strings.Builder, now time.Time) {
	if p.roots {
		fmt.Fprintf(b, "\n%s is a trust store: its %d certificates are counted, and nobody is told of one by one.\n", p.object, len(p.bundle.Certificates))
		return
	}
	for i := range p.bundle.Certificates {
		fmt.Fprintf(b, "\n%s", p.slots[i])
		if strings.Contains(p.object, "#") {
			fmt.Fprintf(b, " of %s", p.object)
		}
		b.WriteString("\n")
		p.policy.explain(b, p.bundle.Certificates[i], p.slots[i], now)
		p.explainChecks(b, i)
	}
	for _, err := range p.bundle.Errors {
		fmt.Fprintf(b, "\nUnreadable in %s: %v.\n", p.object, err)
	}
}

// explain describes one certificate and its deadlines.
func (p policy) explain(b *strings.Builder, c bundle.Certificate, slot string, now time.Time) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("subject", "%s", c.Subject)
	line("issuer", "%s", c.Issuer)
	if c.NameCount > 0 {
		line("names", "%s", nameList(c.SANs))
	}
	line("serial", "%s", c.Serial)
	line("sha256", "%s", c.Fingerprint)
	line("key", "%s, signed with %s", c.Key, c.Signature)
	line("valid from", "%s", when(c.NotBefore, now))
	line("valid until", "%s", when(c.NotAfter, now))
	d, ok := p.deadlines(c, slot)
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
}

// explainChecks says which checks a certificate fails, and which could not be
// made.
func (p *part) explainChecks(b *strings.Builder, i int) {
	for n, verdict := range p.verdicts[i] {
		switch verdict {
		case fail:
			fmt.Fprintf(b, "  %-12s %s: %s\n", "finding", check(n), p.meaning(check(n), p.bundle.Certificates[i]))
		case unknown:
			fmt.Fprintf(b, "  %-12s %s could not be checked\n", "unknown", check(n))
		}
	}
}

// meaning says what a finding means for a certificate.
func (p *part) meaning(found check, c bundle.Certificate) string {
	switch found {
	case nonconforming:
		return fmt.Sprintf("strict software refuses it: %v", c.Nonconforming)
	case weakKey:
		return "its key can be broken, and current software refuses it"
	case weakSignature:
		return "its signature can be forged, and current software refuses it"
	case selfSigned:
		return "nobody but itself vouches for it"
	case noSAN:
		return "it bears no alternative name, and current clients look at nothing else"
	case longLife:
		return fmt.Sprintf("it is valid for longer than %s, which the configuration allows", probes.Duration(p.policy.maxLifetime))
	case notYetValid:
		return "it is not valid yet"
	case chainDisordered:
		return "it has not issued the certificate before it"
	case chainIncomplete:
		return "the file lacks an issuer, which clients may not have"
	case untrusted:
		return "its chain leads to no authority that clients trust, or has a signature that is wrong"
	case keyMismatch:
		return fmt.Sprintf("the private key in %s belongs to another certificate", p.key)
	case keyExposed:
		return fmt.Sprintf("every user of the host can read the private key in %s", p.key)
	case olderDuplicate:
		return "a newer certificate for the same names lies elsewhere on the host"
	}
	return ""
}

func explainList(b *strings.Builder, list store.CRL, v verdicts, now time.Time) {
	fmt.Fprintf(b, "\nrevocation list of %s\n", list.Issuer)
	fmt.Fprintf(b, "  %-12s %s\n", "made", when(list.ThisUpdate, now))
	fmt.Fprintf(b, "  %-12s %s\n", "next until", when(list.NextUpdate, now))
	fmt.Fprintf(b, "  %-12s %d\n", "entries", list.Entries)
	switch v[listForged] {
	case fail:
		fmt.Fprintf(b, "  %-12s %s: no certificate of that name here has signed it\n", "finding", listForged)
	case unknown:
		fmt.Fprintf(b, "  %-12s %s could not be checked: its issuer is not here\n", "unknown", listForged)
	}
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
	if text = strings.TrimSuffix(text, "0s"); text == "" {
		text = "less than a minute"
	}
	if at.Before(now) {
		return fmt.Sprintf("%s, %s ago", at.Format("2006-01-02 15:04:05 MST"), text)
	}
	return fmt.Sprintf("%s, in %s", at.Format("2006-01-02 15:04:05 MST"), text)
}
