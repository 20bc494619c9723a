package store

import (
	"errors"
	"fmt"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
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
	outer := ber.Cursor{Rest: data}
	info := outer.Enter("content", ber.TagSequence)
	info.Take("content type", ber.TagOID)
	explicit := info.Enter("signed data", ber.TagNested0)
	signed := explicit.Enter("signed data", ber.TagSequence)
	signed.Take("version", ber.TagInteger)
	signed.Take("digest algorithms", ber.TagSet)
	signed.Take("signed content", ber.TagSequence)
	var certificates []bundle.Certificate
	var errs []error
	if signed.At(ber.TagNested0) {
		set := signed.Enter("certificates", ber.TagNested0)
		for n := 1; !set.Done() && r.left >= len(certificates) && len(errs) <= maxErrors; n++ {
			e := set.Any(fmt.Sprintf("certificate %d", n))
			if set.Err != nil {
				break
			}
			c, err := r.member(e, n)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			certificates = append(certificates, c)
		}
		signed.Err = errors.Join(signed.Err, set.Err)
	}
	r.add(Entry{Name: name, Certificates: certificates, Errors: errs})
	if signed.At(ber.TagNested1) {
		set := signed.Enter("revocation lists", ber.TagNested1)
		for !set.Done() && r.left >= 0 {
			if e := set.Any("revocation list"); set.Err == nil {
				r.revocation(name, e.Whole)
			}
		}
		signed.Err = errors.Join(signed.Err, set.Err)
	}
	if signed.Err != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS7, signed.Err))
	}
}

// member reads one of the certificates, which may be of other kinds (RFC 5652
// §10.2.2).
func (r *reader) member(e ber.Element, n int) (bundle.Certificate, error) {
	if e.Tag != ber.TagSequence {
		return bundle.Certificate{}, probes.Because(probes.Unsupported, fmt.Errorf("certificate %d is not of X.509", n))
	}
	c, err := certificate(e.Whole)
	if err != nil {
		err = fmt.Errorf("certificate %d: %w", n, err)
	}
	return c, err
}
