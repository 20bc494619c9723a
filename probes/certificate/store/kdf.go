package store

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the format uses it
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"slices"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
)

// attempts are the passwords to try. Without one, writers disagree on whether it
// is an empty text or no text at all; noPassword is the latter.
func attempts(given []string) []string {
	all := slices.Concat(given, everybodys())
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(p string) bool {
		twice := seen[p]
		seen[p] = true
		return twice
	})
}

// everybodys are the passwords that protect nothing.
func everybodys() []string { return []string{"", noPassword, "changeit"} }

func wellKnown(password string) bool { return slices.Contains(everybodys(), password) }

// noPassword is no valid UTF-8, so that no password is like it.
const noPassword = "\xff"

// The uses of a key derived from a password, RFC 7292 §B.3.
const (
	useKey = 1
	useIV  = 2
	useMAC = 3
)

// hashOf returns the hash function of an identifier, its own or that of the HMAC
// made with it.
func hashOf(oid string) (func() hash.Hash, error) {
	switch oid {
	case "1.3.14.3.2.26", "1.2.840.113549.2.7":
		return sha1.New, nil
	case "2.16.840.1.101.3.4.2.4", "1.2.840.113549.2.8":
		return sha256.New224, nil
	case "2.16.840.1.101.3.4.2.1", "1.2.840.113549.2.9":
		return sha256.New, nil
	case "2.16.840.1.101.3.4.2.2", "1.2.840.113549.2.10":
		return sha512.New384, nil
	case "2.16.840.1.101.3.4.2.3", "1.2.840.113549.2.11":
		return sha512.New, nil
	case "2.16.840.1.101.3.4.2.5", "1.2.840.113549.2.12":
		return sha512.New512_224, nil
	case "2.16.840.1.101.3.4.2.6", "1.2.840.113549.2.13":
		return sha512.New512_256, nil
	}
	return nil, unsupported("a hash", oid)
}

// spend takes the rounds of one derivation from what is left. A file could ask
// for any number.
func (r *reader) spend(rounds int) error {
	if rounds < 1 {
		return errors.New("a key derivation of no rounds")
	}
	if rounds > r.rounds {
		return probes.Because(probes.TooLarge, fmt.Errorf("a key derivation of %d rounds, more than are spent on one file", rounds))
	}
	r.rounds -= rounds
	return nil
}

// A derivation is how a key is made of a password in PKCS#12.
type derivation struct {
	newHash func() hash.Hash
	salt    []byte
	rounds  int
	use     byte
}

// derive makes a key of a password, RFC 7292 §B.2.
func (r *reader) derive(d derivation, password string, size int) ([]byte, error) {
	h := d.newHash()
	u, v := h.Size(), h.BlockSize()
	blocks := (size + u - 1) / u
	if d.rounds > maxRounds || len(d.salt) > 1024 {
		return nil, r.spend(maxRounds + 1)
	}
	if err := r.spend(d.rounds * blocks); err != nil {
		return nil, err
	}
	secret := append(bigEndian16(password), 0, 0)
	if password == noPassword {
		secret = nil
	}
	input := append(repeat(d.salt, v), repeat(secret, v)...)
	var key []byte
	for range blocks {
		h.Reset()
		h.Write(bytes.Repeat([]byte{d.use}, v))
		h.Write(input)
		sum := h.Sum(nil)
		for range d.rounds - 1 {
			h.Reset()
			h.Write(sum)
			sum = h.Sum(sum[:0])
		}
		key = append(key, sum...)
		// The input of the next block: each of its blocks + this sum + 1.
		addend := new(big.Int).SetBytes(repeat(sum, v)[:v])
		addend.Add(addend, big.NewInt(1))
		modulus := new(big.Int).Lsh(big.NewInt(1), uint(8*v))
		for block := range slices.Chunk(input, v) {
			n := new(big.Int).SetBytes(block)
			n.Add(n, addend).Mod(n, modulus).FillBytes(block)
		}
	}
	return key[:size], nil
}

// repeat fills whole blocks of v bytes with copies of the data.
func repeat(data []byte, v int) []byte {
	if len(data) == 0 {
		return nil
	}
	size := (len(data) + v - 1) / v * v
	return bytes.Repeat(data, size/len(data)+1)[:size]
}

// pbkdf2 makes a key of a password as RFC 8018 §5.2 and §A.2 say. The size
// follows from the cipher; if it is 0, which only a MAC leaves open, the file
// says it.
func (r *reader) pbkdf2(algorithm ber.Element, password string, size int) ([]byte, error) {
	parts := algorithm.Inside()
	if oid := parts.Take("key derivation", ber.TagOID).OID(); parts.Err == nil && oid != oidPBKDF2 {
		return nil, unsupported("a key derivation", oid)
	}
	c := parts.Enter("parameters", ber.TagSequence)
	salt := c.Take("salt", ber.TagOctets)
	rounds, err := c.Take("rounds", ber.TagInteger).Number()
	if c.At(ber.TagInteger) {
		stated, _ := c.Any("length of the key").Number()
		if size == 0 {
			size = stated
		}
	}
	if size < 16 || size > 1024 {
		return nil, fmt.Errorf("a key of %d bytes", size)
	}
	prf := "1.2.840.113549.2.7"
	if c.At(ber.TagSequence) {
		prf = c.Enter("hash", ber.TagSequence).Take("hash", ber.TagOID).OID()
	}
	if c.Err != nil {
		return nil, c.Err
	}
	if err != nil {
		return nil, err
	}
	newHash, err := hashOf(prf)
	if err != nil {
		return nil, err
	}
	if err := r.spend(rounds); err != nil {
		return nil, err
	}
	if password == noPassword {
		password = ""
	}
	return pbkdf2.Key(newHash, password, salt.Content, rounds, size)
}
