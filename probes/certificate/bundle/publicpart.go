package bundle

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"hygiene_exporter/probes/certificate/ber"
)

const (
	oidRSA           = "1.2.840.113549.1.1.1"
	oidRSAPSS        = "1.2.840.113549.1.1.10"
	oidEllipticCurve = "1.2.840.10045.2.1"

	tagBitString = 0x03
)

// publicPart finds the public key that stands in a private key which Go cannot
// read: one on a curve that it does not know (RFC 5915), or for RSASSA-PSS only
// (RFC 8017). It returns the error for any other.
func publicPart(label string, der []byte, err error) PrivateKey {
	outer := ber.Cursor{Rest: der}
	c := outer.Enter("key", ber.TagSequence)
	c.Take("version", ber.TagInteger)
	var algorithm, bits []byte
	switch {
	case label == "EC PRIVATE KEY":
		var curve ber.Element
		bits, curve = curvePoint(c)
		algorithm = curveAlgorithm(curve)
	case c.At(ber.TagSequence):
		whole := c.Any("algorithm")
		algorithm = whole.Whole
		key := c.Enter("key", ber.TagOctets).Enter("key", ber.TagSequence)
		key.Take("version", ber.TagInteger)
		switch whole.Inside().Take("algorithm", ber.TagOID).OID() {
		case oidEllipticCurve:
			bits, _ = curvePoint(key)
		case oidRSA, oidRSAPSS:
			bits = rsaPublic(key)
		}
	}
	if len(bits) == 0 || len(algorithm) == 0 {
		return PrivateKey{Err: err}
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(algorithm)
		b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) { b.AddBytes(bits) })
	})
	spki, buildErr := b.Bytes()
	if buildErr != nil {
		return PrivateKey{Err: err}
	}
	return PrivateKey{PublicHash: fingerprint(spki)}
}

// curvePoint reads what follows the version of an ECPrivateKey: the content of
// the bit string with the public key, and the curve if it is named.
func curvePoint(c *ber.Cursor) (bits []byte, curve ber.Element) {
	c.Take("private key", ber.TagOctets)
	if c.At(ber.TagNested0) {
		curve = c.Enter("curve", ber.TagNested0).Any("curve")
	}
	if c.At(ber.TagNested1) {
		bits = c.Enter("public key", ber.TagNested1).Take("public key", tagBitString).Content
	}
	return bits, curve
}

func curveAlgorithm(curve ber.Element) []byte {
	if curve.Tag != ber.TagOID {
		return nil
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier([]int{1, 2, 840, 10045, 2, 1})
		b.AddBytes(curve.Whole)
	})
	return b.BytesOrPanic()
}

// rsaPublic reads modulus and exponent of an RSAPrivateKey, and writes them as the
// content of a bit string.
func rsaPublic(c *ber.Cursor) []byte {
	modulus, exponent := c.Take("modulus", ber.TagInteger), c.Take("exponent", ber.TagInteger)
	if c.Err != nil {
		return nil
	}
	var b cryptobyte.Builder
	b.AddUint8(0)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(modulus.Whole)
		b.AddBytes(exponent.Whole)
	})
	bits, _ := b.Bytes()
	return bits
}
