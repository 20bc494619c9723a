//go:build live

package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// revoke makes lists of revoked certificates: list.crl of the issuer middle.
func (l *lab) revoke() {
	l.Helper()
	l.write("index.txt", nil)
	l.write("number", []byte("1B2C\n"))
	l.write("ca.conf", []byte("[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=number\ncertificate=middle.pem\nprivate_key=middle.key\ndefault_md=sha256\nx509_extensions=e\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n"))
	for _, name := range []string{"rsa", "ec"} {
		l.run("openssl", "ca", "-config", "ca.conf", "-revoke", name+".pem")
	}
	l.run("openssl", "ca", "-config", "ca.conf", "-gencrl", "-crldays", "9", "-out", "list.crl")
}

func TestLiveRevocationLists(t *testing.T) {
	l := newLab(t, "openssl")
	l.authority()
	l.revoke()
	l.run("openssl", "ca", "-config", "ca.conf", "-gencrl", "-crlhours", "3", "-out", "short.crl")
	l.run("openssl", "crl", "-in", "list.crl", "-outform", "DER", "-out", "list.der")
	l.run("openssl", "crl", "-in", "list.crl", "-text", "-out", "text.crl")
	l.write("none.der", withoutNextUpdate(t, l.read("list.der")))
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"list.crl", "short.crl", "list.der", "text.crl", "none.der"} {
		c, err := Parse(l.read(name), Options{})
		check(t, errors.Join(err, c.complaints()))
		if len(c.CRLs) != 1 || c.CRLs[0].Entries != 2 || c.CRLs[0].Issuer != "middle" {
			t.Fatalf("%s: %+v", name, c.CRLs)
		}
		list := c.CRLs[0]
		form := "PEM"
		if strings.HasSuffix(name, ".der") {
			form = "DER"
			l.mutate(name, l.read(name), Options{}, random)
		}
		next := "NONE"
		if !list.NextUpdate.IsZero() {
			next = dateOf(list.NextUpdate)
		}
		got := fmt.Sprintf("lastupdate=%s nextupdate=%s crlnumber=0x%s sha256 fingerprint=%s", dateOf(list.ThisUpdate), next, list.Number, list.Fingerprint)
		out := l.run("openssl", "crl", "-inform", form, "-in", name, "-noout", "-lastupdate", "-nextupdate", "-crlnumber", "-fingerprint", "-sha256")
		want := strings.ToLower(strings.NewReplacer("Fingerprint=", "fingerprint=", "SHA2-256", "sha256").Replace(strings.Join(strings.Split(strings.TrimSpace(out), "\n"), " ")))
		mark := strings.Index(want, "fingerprint=")
		want = want[:mark] + strings.ReplaceAll(want[mark:], ":", "")
		if !strings.EqualFold(got, want) {
			t.Errorf("%s:\nopenssl %s\nours    %s", name, want, got)
		}
		l.stores++
	}
}
