package bundle

import (
	"crypto/dsa" //nolint:staticcheck // to name the key of an old certificate, not to use it
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A Certificate is what a person and a rule need to know of one certificate.
type Certificate struct {
	NotBefore, NotAfter time.Time
	Serial              string // in hexadecimal, with a sign if it is negative
	Subject, Issuer     string // the common name, or else the whole name
	SubjectHash         string // the first 8 hex digits of the SHA-256 of the encoded subject
	IssuerHash          string // the same of the issuer
	PublicHash          string // the SHA-256 of the encoded public key, in hexadecimal
	Fingerprint         string // the SHA-256 of the certificate, in hexadecimal
	Key                 string // such as "rsa-2048", "ecdsa-P-256", "ed25519"
	Signature           string // algorithm of the signature, such as "SHA256-RSA"
	Names               []string
	CA                  bool // the certificate may sign others
	SelfSigned          bool // subject and issuer are the same
	// Nonconforming is why a strict reader refuses the certificate; nil when it
	// does not. Then only what a lenient reader finds is known.
	Nonconforming error
}

// parseCertificate reads the DER of one certificate: strictly, as the software
// that uses it will, and leniently where that fails, because an expiry date that
// OpenSSL can read is one that matters.
func parseCertificate(der []byte) (Certificate, error) {
	strict, err := x509.ParseCertificate(der)
	if err == nil {
		return fromStrict(strict), nil
	}
	c, lenientErr := parseLenient(der)
	if lenientErr != nil {
		return Certificate{}, fmt.Errorf("not a certificate: %w", lenientErr)
	}
	c.Nonconforming = err
	return c, nil
}

func fromStrict(x *x509.Certificate) Certificate {
	c := Certificate{
		NotBefore:   x.NotBefore,
		NotAfter:    x.NotAfter,
		Serial:      serialText(x.SerialNumber),
		Subject:     nameText(x.RawSubject),
		Issuer:      nameText(x.RawIssuer),
		SubjectHash: shortHash(x.RawSubject),
		IssuerHash:  shortHash(x.RawIssuer),
		PublicHash:  fingerprint(x.RawSubjectPublicKeyInfo),
		Fingerprint: fingerprint(x.Raw),
		Key:         keyText(x.PublicKey, x.PublicKeyAlgorithm),
		Signature:   x.SignatureAlgorithm.String(),
		// A certificate of version 1 says nothing of it; a root of that age is
		// self-signed.
		CA:         x.BasicConstraintsValid && x.IsCA || x.Version < 3 && string(x.RawSubject) == string(x.RawIssuer),
		SelfSigned: string(x.RawSubject) == string(x.RawIssuer),
	}
	c.Names = append(c.Names, x.DNSNames...)
	for _, ip := range x.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	c.Names = append(c.Names, x.EmailAddresses...)
	for _, uri := range x.URIs {
		c.Names = append(c.Names, uri.String())
	}
	return c
}

func serialText(serial *big.Int) string { return serial.Text(16) }

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func shortHash(name []byte) string { return fingerprint(name)[:8] }

// KeyText names a public key by its algorithm and size, such as "rsa-2048". It is
// "unknown" for a key of another kind.
func KeyText(key any) string { return keyText(key, x509.UnknownPublicKeyAlgorithm) }

func keyText(key any, algorithm x509.PublicKeyAlgorithm) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ecdsa-" + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "ed25519"
	case *dsa.PublicKey:
		return fmt.Sprintf("dsa-%d", key.P.BitLen())
	}
	if algorithm == x509.UnknownPublicKeyAlgorithm {
		return "unknown"
	}
	return strings.ToLower(algorithm.String())
}
