package store

import (
	"fmt"

	"hygiene_exporter/probes/certificate/ber"
	"hygiene_exporter/probes/certificate/bundle"
)

// report makes entries of what was found: each key with its certificate and the
// issuers of that, as programs present them, and every other certificate under
// its own name.
func (p *pfx) report() {
	used := make([]bool, len(p.certs))
	bySubject := map[string]int{}
	for i, b := range p.certs {
		if subject, _, ok := names(b.der); ok && b.err == nil {
			if _, twice := bySubject[subject]; !twice {
				bySubject[subject] = i
			}
		}
	}
	for _, key := range p.keys {
		for i, b := range p.certs {
			if b.err != nil || used[i] || key.key == "" || b.key != key.key {
				continue
			}
			alias := key.alias
			if alias == "" {
				alias = b.alias
			}
			p.add(Entry{Name: within(p.name, alias), Certificates: p.chain(i, bySubject, used), Keys: []bundle.PrivateKey{p.private(key)}})
			break
		}
	}
	unnamed := Entry{Name: p.name}
	for i, b := range p.certs {
		switch {
		case used[i]:
		case b.alias != "" && b.err != nil:
			p.add(Entry{Name: within(p.name, b.alias), Errors: []error{b.err}})
		case b.alias != "":
			p.add(Entry{Name: within(p.name, b.alias), Certificates: []bundle.Certificate{b.certificate}, Trusted: true})
		case b.err != nil:
			unnamed.Errors = append(unnamed.Errors, fmt.Errorf("certificate %d: %w", i+1, b.err))
		default:
			unnamed.Certificates = append(unnamed.Certificates, b.certificate)
		}
	}
	p.add(unnamed)
}

// maxChain bounds a chain, as a chain for each of many keys could grow large.
const maxChain = 10

// chain follows the issuers of a certificate.
func (p *pfx) chain(leaf int, bySubject map[string]int, used []bool) (chain []bundle.Certificate) {
	seen := map[int]bool{}
	for i, ok := leaf, true; ok && !seen[i] && len(chain) < maxChain; {
		seen[i], used[i] = true, true
		chain = append(chain, p.certs[i].certificate)
		_, issuer, _ := names(p.certs[i].der)
		i, ok = bySubject[issuer]
	}
	return chain
}

// names returns the encoded subject and issuer of a certificate.
func names(der []byte) (subject, issuer string, ok bool) {
	c := (&ber.Cursor{Rest: der}).Enter("certificate", ber.TagSequence).Enter("body", ber.TagSequence)
	if c.At(ber.TagNested0) {
		c.Any("version")
	}
	c.Take("serial number", ber.TagInteger)
	c.Take("algorithm", ber.TagSequence)
	issued := c.Take("issuer", ber.TagSequence).Whole
	c.Take("validity", ber.TagSequence)
	named := c.Take("subject", ber.TagSequence).Whole
	return string(named), string(issued), c.Err == nil
}
