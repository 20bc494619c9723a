package store

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
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
	outer := cursor{rest: data}
	whole := outer.take("list", tagSequence)
	signed := whole.inside()
	c := signed.enter("body", tagSequence)
	if outer.err != nil {
		return CRL{}, outer.err
	}
	if c.at(tagInteger) {
		c.any("version")
	}
	c.take("algorithm", tagSequence)
	issuer := c.take("issuer", tagSequence)
	this := c.take("date of issue", tagUTCTime, tagGeneralizedTime)
	if c.err != nil {
		return CRL{}, c.err
	}
	sum := sha256.Sum256(whole.whole)
	list := CRL{Issuer: nameText(issuer.whole), Fingerprint: hex.EncodeToString(sum[:])}
	var err error
	if list.ThisUpdate, err = this.time(); err != nil {
		return CRL{}, fmt.Errorf("date of issue: %w", err)
	}
	if c.at(tagUTCTime, tagGeneralizedTime) {
		if list.NextUpdate, err = c.any("date of the next list").time(); err != nil {
			return CRL{}, fmt.Errorf("date of the next list: %w", err)
		}
	}
	if c.at(tagSequence) {
		revoked := c.any("entries").inside()
		for ; !revoked.done(); list.Entries++ {
			revoked.take("entry", tagSequence)
		}
		if revoked.err != nil {
			return CRL{}, fmt.Errorf("entry %d: %w", list.Entries, revoked.err)
		}
	}
	if c.at(tagNested0) {
		list.Number = crlNumber(c)
	}
	return list, c.err
}

// crlNumber reads the number of a list from its extensions, RFC 5280 §5.2.3.
func crlNumber(c *cursor) string {
	extensions := c.enter("extensions", tagNested0).enter("extensions", tagSequence)
	for !extensions.done() {
		e := extensions.enter("extension", tagSequence)
		if e.take("identifier", tagOID).oid() != oidCRLNumber {
			continue
		}
		const tagBoolean = 0x01
		if e.at(tagBoolean) {
			e.any("criticality")
		}
		number := e.enter("value", tagOctets).take("number", tagInteger)
		if len(number.content) == 0 || len(number.content) > 32 {
			return ""
		}
		return new(big.Int).SetBytes(number.content).Text(16)
	}
	return ""
}

// nameText returns the common name of an encoded name, the last if there are
// several; without one, all the values that it has.
func nameText(der []byte) string {
	var name pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &name); err != nil {
		return ""
	}
	common, others := "", []string(nil)
	for _, set := range name {
		for _, attribute := range set {
			text := fmt.Sprint(attribute.Value)
			if attribute.Type.String() == oidCommonName {
				common = text
			}
			others = append(others, text)
		}
	}
	if common != "" {
		return common
	}
	return strings.Join(others, ", ")
}
