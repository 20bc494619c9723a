package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"

	"hygiene_exporter/probes/certificate/ber"
	"hygiene_exporter/probes/certificate/bundle"
)

const (
	oidCommonName = "2.5.4.3"
	oidCRLNumber  = "2.5.29.20"
)

// revocation reads a list of revoked certificates.
func (r *reader) revocation(name string, data []byte) {
	if r.left--; r.left < 0 {
		return
	}
	list, err := parseCRL(data)
	if err != nil {
		r.fail(name, fmt.Errorf("%s: %w", Revocation, err))
		return
	}
	list.Name = name
	r.content.CRLs = append(r.content.CRLs, list)
}

// parseCRL reads the DER of a list, RFC 5280 §5.1. It counts the entries without
// keeping them: lists of a million are in use.
func parseCRL(data []byte) (CRL, error) {
	outer := ber.Cursor{Rest: data}
	whole := outer.Take("list", ber.TagSequence)
	signed := whole.Inside()
	c := signed.Enter("body", ber.TagSequence)
	if outer.Err != nil {
		return CRL{}, outer.Err
	}
	if c.At(ber.TagInteger) {
		c.Any("version")
	}
	c.Take("algorithm", ber.TagSequence)
	issuer := c.Take("issuer", ber.TagSequence)
	this := c.Take("date of issue", ber.TagUTCTime, ber.TagGeneralizedTime)
	if c.Err != nil {
		return CRL{}, c.Err
	}
	sum := sha256.Sum256(whole.Whole)
	list := CRL{Issuer: bundle.NameText(issuer.Whole), IssuerHash: bundle.NameHash(issuer.Whole), Fingerprint: hex.EncodeToString(sum[:]), DER: whole.Whole}
	var err error
	if list.ThisUpdate, err = this.Time(); err != nil {
		return CRL{}, fmt.Errorf("date of issue: %w", err)
	}
	if c.At(ber.TagUTCTime, ber.TagGeneralizedTime) {
		if list.NextUpdate, err = c.Any("date of the next list").Time(); err != nil {
			return CRL{}, fmt.Errorf("date of the next list: %w", err)
		}
	}
	if c.At(ber.TagSequence) {
		revoked := c.Any("entries").Inside()
		for ; !revoked.Done(); list.Entries++ {
			revoked.Take("entry", ber.TagSequence)
		}
		if revoked.Err != nil {
			return CRL{}, fmt.Errorf("entry %d: %w", list.Entries, revoked.Err)
		}
	}
	if c.At(ber.TagNested0) {
		list.Number = crlNumber(c)
	}
	return list, c.Err
}

// crlNumber reads the number of a list from its extensions, RFC 5280 §5.2.3.
func crlNumber(c *ber.Cursor) string {
	extensions := c.Enter("extensions", ber.TagNested0).Enter("extensions", ber.TagSequence)
	for !extensions.Done() {
		e := extensions.Enter("extension", ber.TagSequence)
		if e.Take("identifier", ber.TagOID).OID() != oidCRLNumber {
			continue
		}
		const tagBoolean = 0x01
		if e.At(tagBoolean) {
			e.Any("criticality")
		}
		number := e.Enter("value", ber.TagOctets).Take("number", ber.TagInteger)
		if len(number.Content) == 0 || len(number.Content) > 32 {
			return ""
		}
		return new(big.Int).SetBytes(number.Content).Text(16)
	}
	return ""
}
