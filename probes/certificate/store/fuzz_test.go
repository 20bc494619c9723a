package store

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// expectSense expects what holds of every content, whatever was read.
func expectSense(t *testing.T, data []byte, c Content, err error) {
	t.Helper()
	items, errs := len(c.CRLs)+len(c.SSH), len(c.Errors)
	taken := map[string]bool{}
	for _, e := range c.Entries {
		items += len(e.Certificates)
		errs += len(e.Errors)
		if taken[e.Name] || len(e.Certificates)+len(e.Errors) == 0 {
			t.Errorf("entry %q is empty or there twice", e.Name)
		}
		taken[e.Name] = true
		for _, err := range e.Errors {
			if probes.ReasonOf(err) == probes.Other {
				t.Errorf("%q has no reason", err)
			}
		}
	}
	for _, err := range c.Errors {
		if probes.ReasonOf(err) == probes.Other {
			t.Errorf("%q has no reason", err)
		}
	}
	found := items+errs+len(c.References) > 0
	if found != (err == nil) || err != nil && !errors.Is(err, ErrEmpty) && !errors.Is(err, bundle.ErrNone) {
		t.Errorf("%d items, %d errors, and %v", items, errs, err)
	}
	if items > maxItems || errs > maxErrors+2 || items > len(data) {
		t.Errorf("%d items and %d errors of %d bytes", items, errs, len(data))
	}
}

// Parse never panics, is bounded, and says either what it found, or what is
// wrong, or that there is nothing.
func FuzzParse(f *testing.F) {
	fam := newFamily(f)
	list := crlOf(f, fam.root, 7, 2)
	leaf, root := pemOf("CERTIFICATE", fam.leaf.der), pemOf("CERTIFICATE", fam.root.der)
	for _, seed := range []string{
		leaf + root, string(fam.leaf.der), string(list), pemOf("X509 CRL", list), wide(leaf),
		string(pkcs7Of([][]byte{fam.leaf.der}, [][]byte{list})),
		jksOf(magicJKS, "secret", stored{"a", true, [][]byte{fam.leaf.der, fam.root.der}}, stored{"b", false, [][]byte{fam.root.der}}),
		string(p12Of("secret", 1, bagged{"web", "1", nil}, bagged{"", "1", fam.leaf.der}, bagged{"", "", fam.root.der})),
		kubeconfigOf(leaf, root), "data:\n  tls.crt: " + encoded(leaf), `{"a": ` + quoted(root) + "}",
		"X=" + encoded(leaf), "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80",
		magicJCEKS + "\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03\x00\x01a12345678\xac\xed\x00\x05sr\x00\x01x12345678\x02\x00\x01[\x00\x01et\x00\x02[Bxp",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(data, Options{Passwords: []string{"secret"}}, 10000)
		expectSense(t, data, c, err)
		// The name of each PEM block of a plain file is a claim.
		claims := bytes.Count(data, []byte("-----BEGIN CERTIFICATE-----"))
		if bytes.HasPrefix(data, []byte(markBegin)) && len(c.Entries) < min(claims, 1) {
			t.Errorf("%d blocks became nothing: %v", claims, err)
		}
	})
}

// Of every entry that a PKCS#12 claims there is a certificate or an error: the
// certificate is damaged inside a store that is whole.
func FuzzBags(f *testing.F) {
	fam := newFamily(f)
	f.Add(fam.leaf.der, "alias", true)
	f.Add(fam.root.der[:80], "", false)
	f.Fuzz(func(t *testing.T, der []byte, alias string, key bool) {
		if len(der) == 0 || len(alias) > 1000 {
			return
		}
		bags := []bagged{{alias, "1", der}, {"whole", "", fam.stranger.der}}
		entries := []stored{{"first", key, [][]byte{der}}, {"whole", false, [][]byte{fam.stranger.der}}}
		if key {
			bags = append(bags, bagged{alias, "1", nil})
		}
		for _, data := range [][]byte{p12Of("secret", 1, bags...), []byte(jksOf(magicJKS, "secret", entries...))} {
			c, err := Parse(data, Options{Passwords: []string{"secret"}})
			expectSense(t, data, c, err)
			whole, others := 0, 0
			for _, e := range c.Entries {
				for _, c := range e.Certificates {
					if c.Fingerprint == fam.stranger.fingerprint() {
						whole++
					} else {
						others++
					}
				}
				others += len(e.Errors)
			}
			if whole == 0 || whole+others < 2 || len(c.Errors) > 0 {
				t.Errorf("%s: %d and %d, %v", c.Kind, whole, others, c.Errors)
			}
		}
	})
}

// Whatever list Go accepts is read here the same way.
func FuzzCRL(f *testing.F) {
	fam := newFamily(f)
	f.Add(crlOf(f, fam.root, 255, 3))
	f.Add(withoutNextUpdate(f, crlOf(f, fam.root, 1, 0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseCRL(data)
		want, strict := x509.ParseRevocationList(data)
		if strict != nil {
			return
		}
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if !got.ThisUpdate.Equal(want.ThisUpdate) || !got.NextUpdate.Equal(want.NextUpdate) || got.Entries != len(want.RevokedCertificateEntries) ||
			want.Issuer.CommonName != "" && got.Issuer == "" || want.Number != nil && want.Number.Sign() > 0 && want.Number.BitLen() < 200 && got.Number != want.Number.Text(16) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// A line becomes a certificate or an error when OpenSSH's own type is followed by
// base64.
func FuzzSSH(f *testing.F) {
	line := sshLine(f, 1000, ssh.CertTimeInfinity)
	f.Add([]byte(line))
	blob, err := base64.StdEncoding.DecodeString(string(bytes.Fields([]byte(line))[1]))
	check(f, err)
	f.Add(blob)
	f.Fuzz(func(t *testing.T, blob []byte) {
		data := []byte("ssh-ed25519" + markSSH + " " + base64.StdEncoding.EncodeToString(append(blob, 0)) + " comment\n")
		c, err := Parse(data, Options{})
		expectSense(t, data, c, err)
		if len(c.SSH)+len(c.Errors) != 1 {
			t.Errorf("got %+v", c)
		}
		c, err = Parse(blob, Options{})
		expectSense(t, blob, c, err)
	})
}
