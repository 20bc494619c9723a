package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
)

// privateKeys returns keys that both readers know, by what they are.
func privateKeys(t testing.TB) map[string]*pem.Block {
	t.Helper()
	blocks := map[string]*pem.Block{}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	for name, key := range map[string]any{"rsa": rsaKey, "ecdsa": p384} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		check(t, err)
		blocks[name] = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	sec1, err := x509.MarshalECPrivateKey(p384)
	check(t, err)
	blocks["sec1"] = &pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}
	return blocks
}

// The reader for keys that Go does not know finds the same in those that it does.
func TestBothReadersOfKeysAgree(t *testing.T) {
	for name, block := range privateKeys(t) {
		want := readKey(block)
		got := publicPart(block.Type, block.Bytes, errors.New("not read"))
		if want.Err != nil || want != got {
			t.Errorf("%s: Go finds %+v, we %+v", name, want, got)
		}
	}
}

// Whatever stands there becomes the hash of a public key or an error, and a key
// that Go reads is not read in another way.
func FuzzPrivateKey(f *testing.F) {
	for _, block := range privateKeys(f) {
		f.Add(block.Bytes, block.Type == "EC PRIVATE KEY")
	}
	f.Fuzz(func(t *testing.T, der []byte, sec1 bool) {
		block := &pem.Block{Type: "PRIVATE KEY", Bytes: der}
		if sec1 {
			block.Type = "EC PRIVATE KEY"
		}
		key := readKey(block)
		if (key.Err == nil) == (key.PublicHash == "") {
			t.Errorf("got %+v", key)
		}
		keys := PrivateKeys(bytes.Join([][]byte{pem.EncodeToMemory(block), pem.EncodeToMemory(block)}, []byte("text\n")))
		if len(keys) != 2 || keys[0].PublicHash != keys[1].PublicHash {
			t.Errorf("got %+v of a file with two", keys)
		}
	})
}
