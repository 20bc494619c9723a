package store

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The zoo makes stores without any program, so that the hermetic tests have
// some. What it writes is proven right by the tests behind the tag live, where
// the real programs write.

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	zooBegin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	zooEnd   = time.Date(2027, 3, 1, 12, 30, 0, 0, time.UTC)
)

// A pair is a certificate and its key.
type pair struct {
	der []byte
	x   *x509.Certificate
	key *ecdsa.PrivateKey
}

func (p pair) fingerprint() string {
	sum := sha256.Sum256(p.der)
	return hex.EncodeToString(sum[:])
}

// issue makes a certificate, self-signed if there is no issuer.
func issue(t testing.TB, name string, ca bool, issuer *pair) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name)) + 4700), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: zooBegin, NotAfter: zooEnd, BasicConstraintsValid: true, IsCA: ca,
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.x, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(t, err)
	x, err := x509.ParseCertificate(der)
	check(t, err)
	return pair{der, x, key}
}

// A family is a root, what it issued, and a stranger.
type family struct{ root, middle, leaf, stranger pair }

func newFamily(t testing.TB) family {
	t.Helper()
	root := issue(t, "root", true, nil)
	middle := issue(t, "middle", true, &root)
	leaf := issue(t, "www.example.org", false, &middle)
	return family{root, middle, leaf, issue(t, "stranger", false, nil)}
}

func pemOf(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func crlOf(t testing.TB, p pair, number int64, revoked int) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: zooBegin, NextUpdate: zooEnd}
	for n := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(int64(n) + 1), RevocationTime: zooBegin})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.x, p.key)
	check(t, err)
	return der
}

// A stored is an entry of a Java keystore to be made.
type stored struct {
	alias string
	key   bool
	chain [][]byte
}

func jksOf(magic, password string, entries ...stored) string {
	b := []byte(magic)
	number := func(n int) { b = binary.BigEndian.AppendUint32(b, uint32(n)) }
	text := func(s string) { b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) }
	number(2)
	number(len(entries))
	for _, e := range entries {
		if e.key {
			number(entryKey)
		} else {
			number(entryTrusted)
		}
		text(e.alias)
		b = append(b, 0, 0, 1, 0, 0, 0, 0, 0)
		if e.key {
			number(5)
			b = append(b, "12345"...)
			number(len(e.chain))
		}
		for _, der := range e.chain {
			text("X.509")
			number(len(der))
			b = append(b, der...)
		}
	}
	h := sha1.New()
	h.Write(bigEndian16(password))
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(b)
	return string(h.Sum(b))
}

// Shapes of cryptobyte, to write ASN.1 with.
var (
	explicit0 = asn1.Tag(0).ContextSpecific().Constructed()
	explicit1 = asn1.Tag(1).ContextSpecific().Constructed()
)

func oidOf(b *cryptobyte.Builder, oid string) {
	var parsed []int
	n := 0
	for _, c := range oid + "." {
		if c == '.' {
			parsed, n = append(parsed, n), 0
			continue
		}
		n = 10*n + int(c-'0')
	}
	b.AddASN1ObjectIdentifier(parsed)
}

// infoOf writes a ContentInfo.
func infoOf(b *cryptobyte.Builder, oid string, content func(b *cryptobyte.Builder)) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		oidOf(b, oid)
		b.AddASN1(explicit0, content)
	})
}

func pkcs7Of(certificates, lists [][]byte) []byte {
	var b cryptobyte.Builder
	infoOf(&b, oidSignedData, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { oidOf(b, oidData) })
			for i, set := range [][][]byte{certificates, lists} {
				if set == nil {
					continue
				}
				b.AddASN1([]asn1.Tag{explicit0, explicit1}[i], func(b *cryptobyte.Builder) {
					for _, der := range set {
						b.AddBytes(der)
					}
				})
			}
			b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
		})
	})
	return b.BytesOrPanic()
}

// A bagged is a bag of a PKCS#12 to be made: a key without der, or a certificate.
type bagged struct {
	alias, key string
	der        []byte
}

// p12Of makes a PKCS#12 with a MAC and without encryption; without a password,
// it has no MAC either.
func p12Of(password string, rounds int, bags ...bagged) []byte {
	var contents cryptobyte.Builder
	contents.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, bag := range bags {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { bagOf(b, bag) })
		}
	})
	var safes cryptobyte.Builder
	safes.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		infoOf(b, oidData, func(b *cryptobyte.Builder) { b.AddASN1OctetString(contents.BytesOrPanic()) })
	})
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		infoOf(b, oidData, func(b *cryptobyte.Builder) { b.AddASN1OctetString(safes.BytesOrPanic()) })
		if password != "" {
			macOf(b, password, rounds, safes.BytesOrPanic())
		}
	})
	return b.BytesOrPanic()
}

func bagOf(b *cryptobyte.Builder, bag bagged) {
	if bag.der == nil {
		oidOf(b, oidShroudedBag)
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, func(*cryptobyte.Builder) {}) })
	} else {
		oidOf(b, oidCertBag)
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				oidOf(b, oidX509)
				b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(bag.der) })
			})
		})
	}
	attribute := func(b *cryptobyte.Builder, oid string, tag asn1.Tag, value []byte) {
		if len(value) == 0 {
			return
		}
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			oidOf(b, oid)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(value) })
			})
		})
	}
	b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
		attribute(b, oidName, asn1.Tag(30), bigEndian16(bag.alias))
		attribute(b, oidLocalKeyID, asn1.OCTET_STRING, []byte(bag.key))
	})
}

func macOf(b *cryptobyte.Builder, password string, rounds int, safes []byte) {
	key, err := (&reader{rounds: maxRounds}).derive(derivation{sha256.New, []byte("saltsalt"), min(rounds, 2048), useMAC}, password, 32)
	if err != nil {
		b.SetError(err)
	}
	h := hmac.New(sha256.New, key)
	h.Write(safes)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				oidOf(b, "2.16.840.1.101.3.4.2.1")
				b.AddASN1NULL()
			})
			b.AddASN1OctetString(h.Sum(nil))
		})
		b.AddASN1OctetString([]byte("saltsalt"))
		b.AddASN1Int64(int64(rounds))
	})
}

// withoutNextUpdate takes the date of the next list out of a list, of which its
// signature then knows nothing.
func withoutNextUpdate(t testing.TB, der []byte) []byte {
	t.Helper()
	outer, body := cryptobyte.String(der), cryptobyte.String(nil)
	var list, tbs, element cryptobyte.String
	if !outer.ReadASN1(&list, asn1.SEQUENCE) || !list.ReadASN1(&tbs, asn1.SEQUENCE) {
		t.Fatal("not a list")
	}
	var tag asn1.Tag
	for dates := 0; !tbs.Empty(); {
		if !tbs.ReadAnyASN1Element(&element, &tag) {
			t.Fatal("not a list")
		}
		if tag == asn1.UTCTime {
			if dates++; dates == 2 {
				continue
			}
		}
		body = append(body, element...)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(body) })
		b.AddBytes(list)
	})
	return b.BytesOrPanic()
}
