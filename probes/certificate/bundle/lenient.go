package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// The tags of ASN.1 that a certificate is made of, X.690 §8.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagOctets          = 0x04
	tagOID             = 0x06
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagBMPString       = 0x1e
	tagSequence        = 0x30
	tagSet             = 0x31
	tagVersion         = 0xa0
	tagExtensions      = 0xa3
)

var errShort = errors.New("the data end too early")

// readElement reads one element of ASN.1: the whole of it, its content, and what
// follows. Lengths may be longer than they need be (BER), but not open-ended.
func readElement(data []byte) (whole, content, rest []byte, err error) {
	if len(data) < 2 {
		return nil, nil, nil, errShort
	}
	length, head := int(data[1]), 2
	if length >= 0x80 {
		size := length & 0x7f
		if size == 0 || size > 4 || len(data) < head+size {
			return nil, nil, nil, fmt.Errorf("a length that cannot be read: %#x", data[1])
		}
		length = 0
		for _, digit := range data[head : head+size] {
			length = length<<8 | int(digit)
		}
		head += size
	}
	if length < 0 || len(data)-head < length {
		return nil, nil, nil, errShort
	}
	end := head + length
	return data[:end], data[head:end], data[end:], nil
}

// A walker reads the elements of a sequence one by one.
type walker struct {
	rest []byte
	err  error
}

// next reads an element of one of the tags, the content and the whole.
func (w *walker) next(what string, tags ...byte) (content, whole []byte) {
	if w.err != nil {
		return nil, nil
	}
	if len(w.rest) == 0 || bytes.IndexByte(tags, w.rest[0]) < 0 {
		w.err = fmt.Errorf("there is no %s where it should be", what)
		return nil, nil
	}
	whole, content, rest, err := readElement(w.rest)
	if err != nil {
		w.err = fmt.Errorf("%s: %w", what, err)
		return nil, nil
	}
	w.rest = rest
	return content, whole
}

// has reports whether an element of this tag comes next.
func (w *walker) has(tag byte) bool { return w.err == nil && len(w.rest) > 0 && w.rest[0] == tag }

// parseLenient reads names, dates and serial number of a certificate and
// believes what it finds (RFC 5280 §4.1). It accepts everything from which the
// end of its life can be known.
func parseLenient(der []byte) (Certificate, error) {
	outer := walker{rest: der}
	body, _ := outer.next("certificate", tagSequence)
	inner := walker{rest: body, err: outer.err}
	tbs, _ := inner.next("body of the certificate", tagSequence)
	w := walker{rest: tbs, err: inner.err}
	if w.has(tagVersion) {
		w.next("version", tagVersion)
	}
	serial, _ := w.next("serial number", tagInteger)
	algorithm, _ := w.next("signature algorithm", tagSequence)
	_, issuer := w.next("issuer", tagSequence)
	validity, _ := w.next("validity", tagSequence)
	_, subject := w.next("subject", tagSequence)
	_, spki := w.next("public key", tagSequence)
	if w.err != nil {
		return Certificate{}, w.err
	}
	c := Certificate{
		Serial:      serialText(integer(serial)),
		Subject:     nameText(subject),
		Issuer:      nameText(issuer),
		SubjectHash: shortHash(subject),
		IssuerHash:  shortHash(issuer),
		PublicHash:  fingerprint(spki),
		Fingerprint: fingerprint(der),
		SelfSigned:  bytes.Equal(subject, issuer),
		CA:          claimsCA(&w),
		Signature:   oidText(algorithm),
		Key:         "unknown",
	}
	if key, err := x509.ParsePKIXPublicKey(spki); err == nil {
		c.Key = keyText(key, x509.UnknownPublicKeyAlgorithm)
	}
	dates := walker{rest: validity}
	var err error
	if c.NotBefore, err = dates.time("begin of validity"); err != nil {
		return Certificate{}, err
	}
	c.NotAfter, err = dates.time("end of validity")
	return c, err
}

// integer reads a two's complement, negative ones too.
func integer(content []byte) *big.Int {
	n := new(big.Int).SetBytes(content)
	if len(content) > 0 && content[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(content))))
	}
	return n
}

// time reads a date. RFC 5280 §4.1.2.5 allows one form of each kind; others are
// met in the wild: without seconds, with fractions, with a zone.
func (w *walker) time(what string) (time.Time, error) {
	tag := byte(0)
	if len(w.rest) > 0 {
		tag = w.rest[0]
	}
	content, _ := w.next(what, tagUTCTime, tagGeneralizedTime)
	if w.err != nil {
		return time.Time{}, w.err
	}
	layouts := []string{"20060102150405Z0700", "20060102150405", "200601021504Z0700", "20060102150405.999999999Z0700"}
	text := string(content)
	if tag == tagUTCTime {
		// Two digits of a year below 50 are of this century.
		century := "19"
		if text < "50" {
			century = "20"
		}
		text = century + text
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %.40q is not a date", what, content)
}

// claimsCA reports whether the basic constraints say so (RFC 5280 §4.2.1.9).
func claimsCA(w *walker) bool {
	for w.err == nil && len(w.rest) > 0 && !w.has(tagExtensions) {
		if _, _, rest, err := readElement(w.rest); err == nil {
			w.rest = rest
			continue
		}
		return false
	}
	outer, _ := w.next("extensions", tagExtensions)
	list, _ := (&walker{rest: outer, err: w.err}).next("extensions", tagSequence)
	extensions := walker{rest: list}
	for len(extensions.rest) > 0 && extensions.err == nil {
		content, _ := extensions.next("extension", tagSequence)
		e := walker{rest: content, err: extensions.err}
		oid, _ := e.next("identifier", tagOID)
		if !bytes.Equal(oid, []byte{0x55, 0x1d, 0x13}) { // 2.5.29.19
			continue
		}
		if e.has(tagBoolean) {
			e.next("criticality", tagBoolean)
		}
		value, _ := e.next("value", tagOctets)
		constraints, _ := (&walker{rest: value, err: e.err}).next("constraints", tagSequence)
		inner := walker{rest: constraints}
		return inner.has(tagBoolean) && len(constraints) > 2 && constraints[2] != 0
	}
	return false
}

// oidText prints the identifier that an AlgorithmIdentifier begins with.
func oidText(algorithm []byte) string {
	w := walker{rest: algorithm}
	if _, whole := w.next("identifier", tagOID); w.err == nil {
		var oid asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(whole, &oid); err == nil {
			return oid.String()
		}
	}
	return "unknown"
}

// commonName is the identifier 2.5.4.3.
var commonName = []byte{0x55, 0x04, 0x03}

// nameText returns the common name of an encoded Name, the last if there are
// several; without one, all the values that it has; and for an empty name its
// nothing.
func nameText(name []byte) string {
	outer := walker{rest: name}
	content, _ := outer.next("name", tagSequence)
	sets := walker{rest: content, err: outer.err}
	common, others := "", []string(nil)
	for len(sets.rest) > 0 && sets.err == nil {
		set, _ := sets.next("part of a name", tagSet)
		pairs := walker{rest: set, err: sets.err}
		for len(pairs.rest) > 0 && pairs.err == nil {
			pair, _ := pairs.next("attribute", tagSequence)
			p := walker{rest: pair, err: pairs.err}
			oid, _ := p.next("attribute type", tagOID)
			if p.err != nil || len(p.rest) == 0 {
				continue
			}
			text := stringText(p.rest)
			if bytes.Equal(oid, commonName) {
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

// stringText decodes a string of any of the types that names are written in.
// What is no valid text shows as hexadecimal.
func stringText(element []byte) string {
	_, content, _, err := readElement(element)
	if err != nil {
		return ""
	}
	if element[0] == tagBMPString && len(content)%2 == 0 {
		units := make([]uint16, len(content)/2)
		for i := range units {
			units[i] = uint16(content[2*i])<<8 | uint16(content[2*i+1])
		}
		return string(utf16.Decode(units))
	}
	if !utf8.Valid(content) {
		return hex.EncodeToString(content)
	}
	return string(content)
}
