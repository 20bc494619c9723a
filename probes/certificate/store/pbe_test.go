package store

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"hygiene_exporter/probes"
)

// testdata/rfc9579-a1.base64 is the example of RFC 9579, appendix A.1; its
// password is 1234.
func TestTheExampleOfRFC9579(t *testing.T) {
	text, err := os.ReadFile("testdata/rfc9579-a1.base64")
	check(t, err)
	data, err := decodeBase64(text)
	check(t, err)
	c, err := Parse(data, Options{Passwords: []string{"1234"}})
	check(t, err)
	if len(c.Errors) > 0 || len(c.Entries) != 1 || len(c.Entries[0].Certificates) != 1 {
		t.Fatalf("got %+v", c)
	}
	for name, password := range map[string]string{"another password": "12345", "no password": ""} {
		c, err = Parse(data, Options{Passwords: []string{password}})
		check(t, err)
		if len(c.Errors) != 1 || probes.ReasonOf(c.Errors[0]) != probes.Auth || len(c.Entries) > 0 {
			t.Errorf("%s: got %+v", name, c)
		}
	}
	// A key this short could be guessed without the password.
	short := bytes.Replace(data, []byte{0x02, 0x01, 0x20, 0x30}, []byte{0x02, 0x01, 0x10, 0x30}, 1)
	if c, err = Parse(short, Options{Passwords: []string{"1234"}}); err != nil || probes.ReasonOf(c.Errors[0]) != probes.Malformed {
		t.Errorf("got %+v, %v", c, err)
	}
}

// The examples of RFC 2268 §5 whose effective length is that of the key.
func TestRC2(t *testing.T) {
	for _, c := range []struct{ key, plain, cipher string }{
		{"ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", "1000000000000001", "30649edf9be7d2c2"},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"},
	} {
		key, _ := hex.DecodeString(c.key)
		plain, _ := hex.DecodeString(c.plain)
		want, _ := hex.DecodeString(c.cipher)
		block, got := newRC2(key), make([]byte, 8)
		block.Encrypt(got, plain)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: encrypted to %x, want %x", c.key, got, want)
		}
		block.Decrypt(got, want)
		if !bytes.Equal(got, plain) {
			t.Errorf("%s: decrypted to %x, want %x", c.key, got, plain)
		}
	}
}
