package bundle

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// A PrivateKey is what is known of a private key: nothing but the hash of the
// public key that belongs to it.
type PrivateKey struct {
	// PublicHash is that of Certificate.PublicHash; empty if the key cannot be
	// read.
	PublicHash string
	// Err is why it cannot be read: it is encrypted, or of a kind that is not
	// known.
	Err error
}

var errEncrypted = errors.New("the private key is encrypted")

// PrivateKeys finds the private keys of a PEM file (RFC 5958, RFC 8017 and
// RFC 5915).
func PrivateKeys(data []byte) (keys []PrivateKey) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return keys
		}
		data = rest
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			keys = append(keys, readKey(block))
		}
	}
}

func readKey(block *pem.Block) PrivateKey {
	if block.Type == "ENCRYPTED PRIVATE KEY" || bytes.Contains([]byte(block.Headers["Proc-Type"]), []byte("ENCRYPTED")) {
		return PrivateKey{Err: errEncrypted}
	}
	var (
		key any
		err error
	)
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return publicPart(block.Type, block.Bytes, err)
	}
	return keyOf(key, err)
}

// PrivateKeyOf reads a private key in PKCS#8, RFC 5958.
func PrivateKeyOf(der []byte) PrivateKey {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return publicPart("PRIVATE KEY", der, err)
	}
	return keyOf(key, nil)
}

func keyOf(key any, err error) PrivateKey {
	if err != nil {
		return PrivateKey{Err: err}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return PrivateKey{Err: errors.ErrUnsupported}
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return PrivateKey{Err: err}
	}
	return PrivateKey{PublicHash: fingerprint(public)}
}
