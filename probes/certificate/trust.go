package certificate

import (
	"crypto/x509"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/store"
)

// A signer is a certificate that may sign others, and that lies on this host.
type signer struct {
	bundle.Certificate
	trusted bool            // the system trusts it, or the configuration does
	dirs    map[string]bool // where it lies; nil for those that the system trusts
	parsed  *x509.Certificate
}

// Authorities are all that are known, by the hash of their subject.
type authorities struct {
	bySubject map[string][]*signer
	version   uint64 // changes with what is in it
	strict    bool   // the configuration says whom clients trust
	blind     bool   // and that could not be read
}

// trusted reads the authorities that the system trusts, and those of the
// configuration, if their files have changed.
func (s *scan) trusted() {
	for _, name := range s.config.Trust {
		if err := s.trust(name); err != nil {
			s.fault(name, err)
			s.authorities.blind = true
			continue
		}
		s.result.Observe(name)
	}
	for _, name := range trustStores() {
		if s.trust(name) == nil {
			return
		}
	}
}

// trust adds the authorities of one file.
func (s *scan) trust(name string) error {
	info, err := s.host.Files.Stat(name)
	if err != nil {
		return err
	}
	id, ok := identify(info)
	known := s.roots[name]
	if !ok || known.identity != id || id.done.Sec > s.now.Add(-settled).Unix() {
		data, err := s.host.Files.ReadFile(name, maxTrustStore)
		if err != nil {
			return err
		}
		content, err := store.Parse(data, store.Options{})
		if err != nil {
			return probes.Because(probes.Malformed, err)
		}
		known = roots{identity: id}
		for _, e := range content.Entries {
			known.certificates = append(known.certificates, e.Certificates...)
		}
		s.roots[name] = known
	}
	for i := range known.certificates {
		s.authorities.add(&known.certificates[i], "")
	}
	return nil
}

// roots are the certificates of a file of trusted authorities.
type roots struct {
	identity     identity
	certificates []bundle.Certificate
}

// add adds a certificate that lies in a directory, or one that is trusted.
func (a *authorities) add(c *bundle.Certificate, dir string) {
	same := a.bySubject[c.SubjectHash]
	i := slices.IndexFunc(same, func(known *signer) bool { return known.Fingerprint == c.Fingerprint })
	if i < 0 {
		i = len(same)
		same = append(same, &signer{Certificate: *c})
		a.bySubject[c.SubjectHash] = same
	}
	known := same[i]
	if dir == "" {
		known.trusted = true
		return
	}
	if known.dirs == nil {
		known.dirs = map[string]bool{}
	}
	known.dirs[dir] = true
}

// seal computes the version, which is never 0.
func (a *authorities) seal() {
	if a.blind {
		a.version = 1
	}
	defer func() { a.version = max(a.version, 1) }()
	for _, same := range a.bySubject {
		for _, known := range same {
			where := append([]string{known.Fingerprint}, slices.Sorted(maps.Keys(known.dirs))...)
			if known.trusted {
				where = append(where, "trusted")
			}
			a.version += hash(strings.Join(where, " "))
		}
	}
}

// hash is FNV-1a, 64 bits.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// judgeChain follows the issuers of the leaf of a part: first in its own file,
// which is what a server sends, then among what is known. Whether clients trust
// it is no question when nobody said whom they trust.
func (a *authorities) judgeChain(name string, p *part, leaf int) (incomplete, distrusted verdict) {
	certificates := p.bundle.Certificates
	current, length, links := &certificates[leaf], 1, pass
	for !a.trusts(current) && !current.SelfSigned && length <= len(certificates) {
		next, link := issuerOf(current, certificates)
		links = weakest(links, link)
		if next == nil {
			break
		}
		current, length = next, length+1
	}
	complete, anchor := a.above(name, current, length)
	if length == 1 && complete != pass && slices.ContainsFunc(certificates, func(c bundle.Certificate) bool { return c.CA }) {
		complete = fail // what follows the leaf has not issued it
	}
	switch links = weakest(links, anchor); {
	case links == notMade && a.blind:
		return complete, unknown
	case links == notMade && a.strict:
		return complete, fail
	}
	return complete, links
}

// weakest returns the verdict on two links of a chain: one that is forged breaks it,
// one that leads nowhere ends it, and one that could not be checked leaves it
// open.
func weakest(a, b verdict) verdict {
	for _, v := range []verdict{fail, notMade, unknown} {
		if a == v || b == v {
			return v
		}
	}
	return pass
}

// trusts reports whether a certificate is trusted, in this or another form, as
// authorities that are new are signed by old ones.
func (a *authorities) trusts(c *bundle.Certificate) bool {
	return slices.ContainsFunc(a.bySubject[c.SubjectHash], func(known *signer) bool { return known.trusted && known.PublicHash == c.PublicHash })
}

// issuerOf finds the certificate of a file that has signed another one, and says
// whether that is certain. It is a failure if one of that name is there and has
// not.
func issuerOf(c *bundle.Certificate, among []bundle.Certificate) (found *bundle.Certificate, link verdict) {
	link = pass
	for i := range among {
		issuer := &among[i]
		if issuer.SubjectHash != c.IssuerHash || issuer.Fingerprint == c.Fingerprint || !issuer.CA {
			continue
		}
		if link = signed(c, issuer, nil); link != fail {
			return issuer, link
		}
	}
	return nil, link
}

// above says whether the chain that ends with a certificate is complete, and
// whether it leads to an authority that is trusted: notMade if it does not.
func (a *authorities) above(name string, top *bundle.Certificate, length int) (complete, anchor verdict) {
	switch {
	case a.trusts(top):
		return pass, pass
	case top.SelfSigned:
		return pass, notMade
	}
	complete = unknown
	if length == 1 && top.IssuerURL {
		complete = fail // it is of a public authority, and nobody here knows which
	}
	for _, issuer := range a.bySubject[top.IssuerHash] {
		if issuer.Fingerprint == top.Fingerprint {
			continue
		}
		link := signed(top, &issuer.Certificate, issuer)
		switch {
		case link == fail:
		case issuer.trusted:
			return pass, link
		case issuer.SelfSigned, issuer.dirs[path.Dir(name)]:
			complete = pass // a private root, or a file for the chain
		case complete == fail:
			complete = unknown // the server may be told to send it from another file
		}
	}
	return complete, notMade
}

// signed says whether one certificate has signed another. Where strict software
// cannot tell, because it knows the key or the algorithm not or believes it no
// longer, the identifiers of the keys decide.
func signed(c, by *bundle.Certificate, known *signer) verdict {
	if len(c.DER) == 0 || len(by.DER) == 0 {
		return unknown
	}
	ids := bundle.SameKey(c.DER, by.DER)
	if ids == bundle.Differs {
		return fail
	}
	if result := verified(c, by, known); result != unknown {
		return result
	}
	if ids == bundle.Agrees {
		return pass
	}
	return unknown
}

// verified checks the signature of one certificate with the key of another.
func verified(c, by *bundle.Certificate, known *signer) verdict {
	if known == nil {
		known = &signer{}
	}
	child, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return unknown
	}
	if known.parsed == nil {
		if known.parsed, err = x509.ParseCertificate(by.DER); err != nil {
			return unknown
		}
	}
	err = known.parsed.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	var weak x509.InsecureAlgorithmError
	if errors.Is(err, x509.ErrUnsupportedAlgorithm) || errors.As(err, &weak) {
		return unknown
	}
	return of(err != nil)
}

// judgeList checks the signature of a revocation list.
func (a *authorities) judgeList(list *store.CRL) verdict {
	parsed, err := x509.ParseRevocationList(list.DER)
	if err != nil {
		return unknown // strict software refuses it
	}
	result := unknown
	for _, issuer := range a.bySubject[list.IssuerHash] {
		parent, err := x509.ParseCertificate(issuer.DER)
		if err != nil {
			continue
		}
		err = parent.CheckSignature(parsed.SignatureAlgorithm, parsed.RawTBSRevocationList, parsed.Signature)
		var weak x509.InsecureAlgorithmError
		switch {
		case err == nil:
			return pass
		case !errors.Is(err, x509.ErrUnsupportedAlgorithm) && !errors.As(err, &weak):
			result = fail
		}
	}
	return result
}
