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
}

// trusted reads the authorities that the system trusts, and those of the
// configuration, if their files have changed.
func (s *scan) trusted() {
	for _, name := range s.config.Trust {
		if err := s.trust(name); err != nil {
			s.fault(name, err)
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
// which is what a server sends, then among what is known.
func (a *authorities) judgeChain(name string, p *part, leaf int) (incomplete, distrusted verdict) {
	certificates := p.bundle.Certificates
	current, length, broken := &certificates[leaf], 1, false
	for !current.SelfSigned && length <= len(certificates) {
		next, forged := issuerOf(current, certificates)
		broken = broken || forged
		if next == nil {
			break
		}
		if a.trusts(next) {
			return pass, of(broken)
		}
		current, length = next, length+1
	}
	complete, anchored := a.above(name, current, length)
	if length == 1 && complete != pass && !current.SelfSigned && slices.ContainsFunc(certificates, func(c bundle.Certificate) bool { return c.CA }) {
		complete = fail // what follows the leaf has not issued it
	}
	switch {
	case broken:
		return complete, fail
	case anchored:
		return complete, pass
	case a.strict:
		return complete, fail
	}
	return complete, unknown // nobody said whom the clients trust
}

// trusts reports whether a certificate is trusted, in this or another form, as
// authorities that are new are signed by old ones.
func (a *authorities) trusts(c *bundle.Certificate) bool {
	return slices.ContainsFunc(a.bySubject[c.SubjectHash], func(known *signer) bool { return known.trusted && known.PublicHash == c.PublicHash })
}

// issuerOf finds the certificate of a file that has signed another one, and
// reports whether one of that name is there and has not.
func issuerOf(c *bundle.Certificate, among []bundle.Certificate) (found *bundle.Certificate, forged bool) {
	for i := range among {
		issuer := &among[i]
		if issuer.SubjectHash != c.IssuerHash || issuer.Fingerprint == c.Fingerprint || !issuer.CA {
			continue
		}
		if signed(c, issuer, nil) != fail {
			return issuer, false
		}
		forged = true
	}
	return nil, forged
}

// above says whether the chain that ends with a certificate is complete, and
// whether it leads to an authority that is trusted.
func (a *authorities) above(name string, top *bundle.Certificate, length int) (complete verdict, anchored bool) {
	if a.trusts(top) {
		return pass, true
	}
	if top.SelfSigned {
		return pass, false
	}
	complete = unknown
	if length == 1 && top.IssuerURL {
		complete = fail // it is of a public authority, and nobody here knows which
	}
	for _, issuer := range a.bySubject[top.IssuerHash] {
		switch {
		case issuer.Fingerprint == top.Fingerprint, signed(top, &issuer.Certificate, issuer) == fail:
		case issuer.trusted:
			return pass, true
		case issuer.SelfSigned, issuer.dirs[path.Dir(name)]:
			complete = pass // a private root, or a file for the chain
		case complete == fail:
			complete = unknown // the server may be told to send it from another file
		}
	}
	return complete, false
}

// signed checks the signature of one certificate with the key of another. It is
// unknown when one of them is not kept or cannot be read by strict software, or
// when the algorithm is too weak to be believed.
func signed(c, by *bundle.Certificate, known *signer) verdict {
	if len(c.DER) == 0 || len(by.DER) == 0 || strings.Contains(c.Signature, "MD") || strings.Contains(c.Signature, "SHA1") {
		return unknown
	}
	child, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return unknown
	}
	parent := (*x509.Certificate)(nil)
	if known != nil {
		parent = known.parsed
	}
	if parent == nil {
		if parent, err = x509.ParseCertificate(by.DER); err != nil {
			return unknown
		}
		if known != nil {
			known.parsed = parent
		}
	}
	err = parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	if errors.Is(err, x509.ErrUnsupportedAlgorithm) {
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
