package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // the format uses it
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the format uses it
	"errors"
	"fmt"
	"hash"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
)

// errPassword says that something decrypted to rubbish.
var errPassword = errors.New("the password does not fit")

// Encryption and key derivation, RFC 7292 appendix C and RFC 8018 appendix A.
const (
	oidSHA1and3DES    = "1.2.840.113549.1.12.1.3"
	oidSHA1and3DESTwo = "1.2.840.113549.1.12.1.4"
	oidSHA1andRC2     = "1.2.840.113549.1.12.1.5"
	oidSHA1andRC2of40 = "1.2.840.113549.1.12.1.6"
	oidPBES2          = "1.2.840.113549.1.5.13"
	oidPBKDF2         = "1.2.840.113549.1.5.12"
	oidPBMAC1         = "1.2.840.113549.1.5.14"
)

func unsupported(what, oid string) error {
	return probes.Because(probes.Unsupported, fmt.Errorf("%s that is not known: %.60q", what, oid))
}

// minMACKey is the shortest key of a MAC that RFC 9579 §6 allows, in bytes.
const minMACKey = 20

// mac reports whether a MacData fits content and password, RFC 7292 §4 and
// RFC 9579.
func (r *reader) mac(data ber.Element, content []byte, password string) (bool, error) {
	c := data.Inside()
	info := c.Enter("digest", ber.TagSequence)
	algorithm := info.Take("algorithm", ber.TagSequence)
	digest := info.Take("digest", ber.TagOctets)
	salt := c.Take("salt", ber.TagOctets)
	rounds := 1
	var err error
	if c.At(ber.TagInteger) {
		rounds, err = c.Any("rounds").Number()
	}
	if err = errors.Join(c.Err, info.Err, err); err != nil {
		return false, fmt.Errorf("MAC: %w", err)
	}
	parts := algorithm.Inside()
	oid := parts.Take("algorithm", ber.TagOID).OID()
	var key []byte
	var newHash func() hash.Hash
	if oid == oidPBMAC1 {
		key, newHash, err = r.pbmac1(parts, password)
	} else if newHash, err = hashOf(oid); err == nil {
		key, err = r.derive(derivation{newHash, salt.Content, rounds, useMAC}, password, newHash().Size())
	}
	if err != nil {
		return false, fmt.Errorf("MAC: %w", err)
	}
	h := hmac.New(newHash, key)
	h.Write(content)
	return hmac.Equal(h.Sum(nil), digest.Content), nil
}

func (r *reader) pbmac1(parts *ber.Cursor, password string) (key []byte, newHash func() hash.Hash, err error) {
	c := parts.Enter("parameters", ber.TagSequence)
	kdf := c.Take("key derivation", ber.TagSequence)
	oid := c.Enter("algorithm", ber.TagSequence).Take("algorithm", ber.TagOID).OID()
	if c.Err != nil {
		return nil, nil, c.Err
	}
	if newHash, err = hashOf(oid); err == nil {
		key, err = r.pbkdf2(kdf, password, 0)
		if err == nil && len(key) < minMACKey {
			err = fmt.Errorf("a key of %d bytes", len(key))
		}
	}
	return key, newHash, err
}

// decrypt decrypts what was encrypted with a password. The error is errPassword
// when the result is rubbish.
func (r *reader) decrypt(algorithm ber.Element, secret []byte, password string) ([]byte, error) {
	parts := algorithm.Inside()
	oid := parts.Take("algorithm", ber.TagOID).OID()
	var block cipher.Block
	var iv []byte
	var err error
	if oid == oidPBES2 {
		block, iv, err = r.pbes2(parts, password)
	} else {
		block, iv, err = r.pbes1(oid, parts, password)
	}
	if err = errors.Join(parts.Err, err); err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(secret) == 0 || len(secret)%size != 0 {
		return nil, errors.New("what is encrypted has an impossible length")
	}
	plain := make([]byte, len(secret))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, secret)
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > size || !bytes.Equal(plain[len(plain)-padding:], bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, errPassword
	}
	plain = plain[:len(plain)-padding]
	if e, rest, err := ber.Read(plain); err != nil || e.Tag != ber.TagSequence || len(rest) > 0 {
		return nil, errPassword
	}
	return plain, nil
}

// pbes1 prepares a cipher of PKCS#12 itself, RFC 7292 appendix C.
func (r *reader) pbes1(oid string, parts *ber.Cursor, password string) (block cipher.Block, iv []byte, err error) {
	size := 0
	switch oid {
	case oidSHA1and3DES:
		size = 24
	case oidSHA1and3DESTwo, oidSHA1andRC2:
		size = 16
	case oidSHA1andRC2of40:
		size = 5
	default:
		return nil, nil, unsupported("an encryption", oid)
	}
	c := parts.Enter("parameters", ber.TagSequence)
	salt := c.Take("salt", ber.TagOctets)
	rounds, err := c.Take("rounds", ber.TagInteger).Number()
	if err = errors.Join(c.Err, err); err != nil {
		return nil, nil, err
	}
	key, err := r.derive(derivation{sha1.New, salt.Content, rounds, useKey}, password, size)
	if err != nil {
		return nil, nil, err
	}
	if iv, err = r.derive(derivation{sha1.New, salt.Content, rounds, useIV}, password, 8); err != nil {
		return nil, nil, err
	}
	switch oid {
	case oidSHA1andRC2, oidSHA1andRC2of40:
		return newRC2(key), iv, nil
	case oidSHA1and3DESTwo:
		key = append(key, key[:8]...)
	}
	block, err = des.NewTripleDESCipher(key)
	return block, iv, err
}

// pbes2 prepares a cipher as RFC 8018 §6.2 and §A.4 say.
func (r *reader) pbes2(parts *ber.Cursor, password string) (block cipher.Block, iv []byte, err error) {
	c := parts.Enter("parameters", ber.TagSequence)
	kdf := c.Take("key derivation", ber.TagSequence)
	scheme := c.Enter("encryption", ber.TagSequence)
	oid := scheme.Take("encryption", ber.TagOID).OID()
	vector := scheme.Take("initial vector", ber.TagOctets)
	if err := errors.Join(c.Err, scheme.Err); err != nil {
		return nil, nil, err
	}
	size, newCipher := 0, aes.NewCipher
	switch oid {
	case "2.16.840.1.101.3.4.1.2":
		size = 16
	case "2.16.840.1.101.3.4.1.22":
		size = 24
	case "2.16.840.1.101.3.4.1.42":
		size = 32
	case "1.2.840.113549.3.7":
		size, newCipher = 24, des.NewTripleDESCipher
	default:
		return nil, nil, unsupported("an encryption", oid)
	}
	key, err := r.pbkdf2(kdf, password, size)
	if err != nil {
		return nil, nil, err
	}
	block, err = newCipher(key)
	return block, vector.Content, err
}
