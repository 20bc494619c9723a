package store

import (
	"crypto/sha1" //nolint:gosec // the format uses it
	"crypto/subtle"
	"errors"

	"hygiene_exporter/probes/certificate/ber"
	"hygiene_exporter/probes/certificate/bundle"
)

// oidJavaKey is the protection of keys in a JKS.
const oidJavaKey = "1.3.6.1.4.1.42.2.17.1.1"

// javaKey reads a private key of a JKS as sun.security.provider.KeyProtector
// writes it: the key is combined with a stream of SHA-1 over password and what
// came before, between a salt and a digest. That of a JCEKS, and of another
// password than its store's, says nothing.
func javaKey(secret []byte, password string) bundle.PrivateKey {
	outer := ber.Cursor{Rest: secret}
	info := outer.Enter("encrypted key", ber.TagSequence)
	oid := info.Enter("algorithm", ber.TagSequence).Take("algorithm", ber.TagOID).OID()
	text := info.Take("encrypted key", ber.TagOctets).Content
	if oid != oidJavaKey || len(text) < 2*sha1.Size {
		return bundle.PrivateKey{Err: errors.ErrUnsupported}
	}
	stream, key, digest := text[:sha1.Size], text[sha1.Size:len(text)-sha1.Size], text[len(text)-sha1.Size:]
	plain := make([]byte, 0, len(key))
	for i, c := range key {
		if i%sha1.Size == 0 {
			stream = javaSum(password, stream)
		}
		plain = append(plain, c^stream[i%sha1.Size])
	}
	if subtle.ConstantTimeCompare(javaSum(password, plain), digest) != 1 {
		return bundle.PrivateKey{Err: errPassword}
	}
	return bundle.PrivateKeyOf(plain)
}

func javaSum(password string, data []byte) []byte {
	h := sha1.New() //nolint:gosec // the format uses it
	h.Write(bigEndian16(password))
	h.Write(data)
	return h.Sum(nil)
}
