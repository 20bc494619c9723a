package store

import (
	"errors"
	"fmt"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

const (
	oidData          = "1.2.840.113549.1.7.1"
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidEncryptedData = "1.2.840.113549.1.7.6"
)

// signedData reads the certificates and revocation lists of PKCS#7, RFC 2315
// §9.1 and RFC 5652 §5.1. Whether something is signed, and rightly, does not
// matter here.
func (r *reader) signedData(name string, data []byte) {
	outer := cursor{rest: data}
	info := outer.enter("content", tagSequence)
	info.take("content type", tagOID)
	explicit := info.enter("signed data", tagNested0)
	signed := explicit.enter("signed data", tagSequence)
	signed.take("version", tagInteger)
	signed.take("digest algorithms", tagSet)
	signed.take("signed content", tagSequence)
	var certificates []bundle.Certificate
	var errs []error
	if signed.at(tagNested0) {
		set := signed.enter("certificates", tagNested0)
		for n := 1; !set.done() && r.left >= len(certificates) && len(errs) <= maxErrors; n++ {
			e := set.any(fmt.Sprintf("certificate %d", n))
			if set.err != nil {
				break
			}
			c, err := r.member(e, n)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			certificates = append(certificates, c)
		}
		signed.err = errors.Join(signed.err, set.err)
	}
	r.add(name, certificates, errs)
	if signed.at(tagNested1) {
		set := signed.enter("revocation lists", tagNested1)
		for !set.done() && r.left >= 0 {
			if e := set.any("revocation list"); set.err == nil {
				r.revocation(name, e.whole)
			}
		}
		signed.err = errors.Join(signed.err, set.err)
	}
	if signed.err != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS7, signed.err))
	}
}

// member reads one of the certificates, which may be of other kinds (RFC 5652
// §10.2.2).
func (r *reader) member(e element, n int) (bundle.Certificate, error) {
	if e.tag != tagSequence {
		return bundle.Certificate{}, probes.Because(probes.Unsupported, fmt.Errorf("certificate %d is not of X.509", n))
	}
	c, err := certificate(e.whole)
	if err != nil {
		err = fmt.Errorf("certificate %d: %w", n, err)
	}
	return c, err
}
