package bundle

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/certificate/ber"
)

// A Certificate is what a person and a rule need to know of one certificate. The
// zero time is a limit that a certificate does not have, which only those of
// OpenSSH may lack.
type Certificate struct {
	NotBefore, NotAfter time.Time
	Serial              string // in hexadecimal, with a sign if it is negative
	Subject, Issuer     string // the common name, or else the whole name
	Organization        string // that of the issuer
	SubjectHash         string // the first 8 hex digits of the SHA-256 of the encoded subject
	IssuerHash          string // the same of the issuer
	PublicHash          string // the SHA-256 of the encoded public key, in hexadecimal
	Fingerprint         string // the SHA-256 of the certificate, in hexadecimal
	Key                 string // such as "rsa-2048", "ecdsa-P-256", "ed25519"
	Signature           string // algorithm of the signature, such as "SHA256-RSA", or its identifier
	SANs
	CA         bool // the certificate may sign others
	SelfSigned bool // subject and issuer are the same
	AnyPurpose bool // it does not say what it is for
	Server     bool // it says that it is for servers
	IssuerURL  bool // it says where its issuer can be fetched, as public authorities do
	// Nonconforming is why a strict reader refuses the certificate; nil when it
	// does not.
	Nonconforming error
	// DER is the whole certificate.
	DER []byte
}

// SANs are the names for which a certificate is valid. There can be any number
// of any length: some are kept, and all are counted.
type SANs struct {
	Names     []string // the first maxNames, of which each is cut at maxName bytes
	NameCount int      // of all
	NamesHash string   // the same for the same set of names, or without any for the same subject
	HostNames bool     // there is a name of a host or an address among them
}

// The bounds of what is kept of the names of a certificate.
const (
	maxNames = 100
	maxName  = 253
)

// parseCertificate reads the DER of one certificate. It believes what it finds
// and accepts everything from which the end of its life can be known, because an
// expiry date that OpenSSL can read is one that matters; whether strict software
// does so too is a finding.
func parseCertificate(der []byte) (Certificate, error) {
	c, err := readCertificate(der)
	if err != nil {
		return Certificate{}, fmt.Errorf("not a certificate: %w", err)
	}
	// A curve that Go does not know is no violation of anything.
	if _, strict := x509.ParseCertificate(der); strict != nil && !strings.Contains(strict.Error(), "unsupported elliptic curve") {
		c.Nonconforming = strict
	}
	return c, nil
}

// readCertificate reads a certificate, RFC 5280 §4.1.
func readCertificate(der []byte) (Certificate, error) {
	outer := ber.Cursor{Rest: der}
	inner := outer.Enter("certificate", ber.TagSequence)
	body := inner.Enter("body of the certificate", ber.TagSequence)
	version := 0
	if body.At(ber.TagNested0) {
		version, _ = body.Enter("version", ber.TagNested0).Any("version").Number()
	}
	serial := body.Take("serial number", ber.TagInteger)
	algorithm := body.Take("signature algorithm", ber.TagSequence)
	issuer := body.Take("issuer", ber.TagSequence).Whole
	validity := body.Enter("validity", ber.TagSequence)
	subject := body.Take("subject", ber.TagSequence).Whole
	spki := body.Take("public key", ber.TagSequence)
	if body.Err != nil {
		return Certificate{}, body.Err
	}
	c := Certificate{
		Serial:      integer(serial.Content).Text(16),
		Subject:     NameText(subject),
		Issuer:      NameText(issuer),
		SubjectHash: NameHash(subject),
		IssuerHash:  NameHash(issuer),
		PublicHash:  fingerprint(spki.Whole),
		Fingerprint: fingerprint(der),
		Key:         keyText(spki),
		Signature:   signatureText(algorithm),
		SelfSigned:  string(subject) == string(issuer),
		AnyPurpose:  true,
		DER:         der,
	}
	c.Organization = attribute(issuer, organization)
	// A certificate of version 1 has no extensions; a root of that age is
	// self-signed.
	c.CA = version < 2 && c.SelfSigned
	eachExtension(body, c.readExtension)
	if c.NamesHash == "" {
		c.NamesHash = c.SubjectHash
	}
	var err error
	if c.NotBefore, err = date(validity, "begin of validity"); err == nil {
		c.NotAfter, err = date(validity, "end of validity")
	}
	return c, err
}

func date(validity *ber.Cursor, what string) (time.Time, error) {
	e := validity.Take(what, ber.TagUTCTime, ber.TagGeneralizedTime)
	if validity.Err != nil {
		return time.Time{}, validity.Err
	}
	at, err := e.Time()
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", what, err)
	}
	return at, nil
}

// integer reads a two's complement, negative ones too.
func integer(content []byte) *big.Int {
	n := new(big.Int).SetBytes(content)
	if len(content) > 0 && content[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(content))))
	}
	return n
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// NameHash is the first 8 hex digits of the SHA-256 of an encoded name.
func NameHash(name []byte) string {
	sum := sha256.Sum256(name)
	return hex.EncodeToString(sum[:4])
}

// The extensions that are read, RFC 5280 §4.2.
const (
	oidBasicConstraints = "2.5.29.19"
	oidSAN              = "2.5.29.17"
	oidPurposes         = "2.5.29.37"
	oidAuthorityInfo    = "1.3.6.1.5.5.7.1.1"
)

// eachExtension visits what stands behind the public key, RFC 5280 §4.2.
func eachExtension(body *ber.Cursor, visit func(oid string, value *ber.Cursor)) {
	for !body.Done() && !body.At(ber.TagNested3) {
		body.Any("unique identifier")
	}
	list := body.Enter("extensions", ber.TagNested3).Enter("extensions", ber.TagSequence)
	for !list.Done() {
		e := list.Enter("extension", ber.TagSequence)
		oid := e.Take("identifier", ber.TagOID).OID()
		if e.At(ber.TagBoolean) {
			e.Any("criticality")
		}
		visit(oid, e.Enter("value", ber.TagOctets))
	}
}

// readExtension reads one. What cannot be read is not there.
func (c *Certificate) readExtension(oid string, value *ber.Cursor) {
	switch oid {
	case oidBasicConstraints:
		flag := value.Enter("constraints", ber.TagSequence)
		c.CA = flag.At(ber.TagBoolean) && slices.ContainsFunc(flag.Any("flag").Content, func(b byte) bool { return b != 0 })
	case oidSAN:
		c.SANs = readNames(value.Enter("names", ber.TagSequence))
	case oidPurposes:
		c.AnyPurpose = false
		for purposes := value.Enter("purposes", ber.TagSequence); !purposes.Done(); {
			switch purposes.Any("purpose").OID() {
			case "1.3.6.1.5.5.7.3.1", "2.5.29.37.0": // serverAuth, any
				c.Server = true
			}
		}
	case oidAuthorityInfo:
		for access := value.Enter("access", ber.TagSequence); !access.Done(); {
			method := access.Enter("access", ber.TagSequence).Take("method", ber.TagOID)
			c.IssuerURL = c.IssuerURL || method.OID() == "1.3.6.1.5.5.7.48.2"
		}
	}
}
