//go:build live

package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// A lab is a directory in which the real programs make certificates and stores.
type lab struct {
	*testing.T
	dir    string
	stores int // that were made and compared
}

// newLab expects these programs to be installed, as test/packages.sh does.
func newLab(t *testing.T, programs ...string) *lab {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v; run test/packages.sh", err)
		}
	}
	l := &lab{T: t, dir: t.TempDir()}
	t.Cleanup(func() { t.Logf("%d stores and mutations were compared", l.stores) })
	return l
}

// try runs a program in the directory.
func (l *lab) try(args ...string) (string, error) {
	l.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = l.dir, append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%q: %w\n%s%s", args, err, out.String(), complaints.String())
	}
	return out.String(), err
}

func (l *lab) run(args ...string) string {
	l.Helper()
	out, err := l.try(args...)
	check(l, err)
	return out
}

func (l *lab) read(name string) []byte {
	l.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, name))
	check(l, err)
	return data
}

func (l *lab) write(name string, data []byte) {
	l.Helper()
	check(l, os.WriteFile(filepath.Join(l.dir, name), data, 0o600))
}

// authority makes a root, an issuer and two leaves of each kind of key:
// <name>.key and <name>.pem of root, middle, rsa, ec, ed and stranger.
func (l *lab) authority() {
	l.Helper()
	l.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "4000", "-subj", "/O=Lab/CN=root")
	l.issue("middle", "root", "rsa:2048", 2000, true)
	l.issue("rsa", "middle", "rsa:2048", 100, false)
	l.issue("ec", "middle", "ec", 47, false)
	l.issue("ed", "middle", "ed25519", 6, false)
	l.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "stranger.key", "-out", "stranger.pem", "-days", "1", "-subj", "/CN=Fremder Bücher")
	l.write("chain.pem", append(l.read("middle.pem"), l.read("root.pem")...))
}

func (l *lab) issue(name, issuer, key string, days int, ca bool) {
	l.Helper()
	args := []string{"openssl", "req", "-newkey", key, "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/O=Lab/CN=" + name}
	if key == "ec" {
		args = append(args, "-pkeyopt", "ec_paramgen_curve:P-256")
	}
	l.run(args...)
	l.write("ext", fmt.Appendf(nil, "basicConstraints=critical,CA:%s\nsubjectAltName=DNS:%s.example.org\n", strings.ToUpper(fmt.Sprint(ca)), name))
	l.run("openssl", "x509", "-req", "-in", name+".csr", "-CA", issuer+".pem", "-CAkey", issuer+".key", "-CAcreateserial", "-days", fmt.Sprint(days), "-extfile", "ext", "-out", name+".pem")
}

// An attested certificate is what openssl prints of one.
type attested struct{ Fingerprint, Serial, NotBefore, NotAfter string }

func (l *lab) attest(pemText []byte) attested {
	l.Helper()
	l.write("attest.pem", pemText)
	var a attested
	for line := range strings.Lines(l.run("openssl", "x509", "-in", "attest.pem", "-noout", "-fingerprint", "-sha256", "-serial", "-dates")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch strings.ToLower(key) {
		case "sha256 fingerprint":
			a.Fingerprint = strings.ToLower(strings.ReplaceAll(value, ":", ""))
		case "serial":
			a.Serial = strings.TrimLeft(strings.ToLower(value), "0")
		case "notbefore":
			a.NotBefore = value
		case "notafter":
			a.NotAfter = value
		}
	}
	return a
}

// dateOf prints a date as openssl does.
func dateOf(at time.Time) string { return at.Format("Jan _2 15:04:05 2006 GMT") }

func ours(c bundle.Certificate) attested {
	return attested{c.Fingerprint, c.Serial, dateOf(c.NotBefore), dateOf(c.NotAfter)}
}

// fingerprints lists those of the certificates in a text of PEM.
func fingerprints(text string) (found []string) {
	for rest := []byte(text); ; {
		var p *pem.Block
		if p, rest = pem.Decode(rest); p == nil {
			slices.Sort(found)
			return found
		}
		if p.Type == "CERTIFICATE" {
			sum := sha256.Sum256(p.Bytes)
			found = append(found, hex.EncodeToString(sum[:]))
		}
	}
}

func (c Content) fingerprints() (found []string) {
	for _, e := range c.Entries {
		for _, certificate := range e.Certificates {
			found = append(found, certificate.Fingerprint)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (c Content) complaints() error {
	errs := slices.Clone(c.Errors)
	for _, e := range c.Entries {
		errs = append(errs, e.Errors...)
	}
	return errors.Join(errs...)
}

// mutate damages a store in many ways and expects that nothing is made up, and
// that nothing is missing without an error.
func (l *lab) mutate(name string, data []byte, o Options, random *rand.Rand) {
	l.Helper()
	whole, err := Parse(data, o)
	check(l, err)
	want := whole.fingerprints()
	for range 8 {
		cut := 30 + random.IntN(len(data)-30)
		c, err := Parse(data[:cut], o)
		if reason := probes.ReasonOf(c.complaints()); err != nil || reason != probes.Malformed {
			l.Errorf("%s, %d of %d bytes: %v, %v", name, cut, len(data), c.complaints(), err)
		}
		damaged := bytes.Clone(data)
		at := random.IntN(len(damaged))
		damaged[at] ^= byte(1 + random.IntN(255))
		c, err = Parse(damaged, o)
		got := c.fingerprints()
		if len(got) < len(want) && err == nil && c.complaints() == nil {
			l.Errorf("%s, byte %d changed: certificates are missing without an error", name, at)
		}
		l.stores += 2
	}
}

func TestLivePlainFiles(t *testing.T) {
	l := newLab(t, "openssl")
	l.authority()
	for _, name := range []string{"root", "middle", "rsa", "ec", "ed", "stranger"} {
		want := l.attest(l.read(name + ".pem"))
		l.run("openssl", "x509", "-in", name+".pem", "-outform", "DER", "-out", name+".der")
		l.run("openssl", "x509", "-in", name+".pem", "-text", "-out", name+".txt")
		l.run("openssl", "x509", "-in", name+".pem", "-trustout", "-addtrust", "serverAuth", "-out", name+".trust")
		for _, ext := range []string{".pem", ".der", ".txt", ".trust"} {
			c, err := Parse(l.read(name+ext), Options{})
			if err != nil || len(c.Entries) != 1 || len(c.Entries[0].Certificates) != 1 || c.complaints() != nil {
				t.Fatalf("%s%s: %+v, %v", name, ext, c, err)
			}
			if diff := cmp.Diff(want, ours(c.Entries[0].Certificates[0])); diff != "" {
				t.Errorf("%s%s (-openssl +ours):\n%s", name, ext, diff)
			}
			l.stores++
		}
	}
}

func TestLivePKCS7(t *testing.T) {
	l := newLab(t, "openssl")
	l.authority()
	l.write("all.pem", slices.Concat(l.read("rsa.pem"), l.read("chain.pem"), l.read("ed.pem")))
	l.write("note", []byte("hello\n"))
	l.revoke()
	random := rand.New(rand.NewPCG(7, 7))
	for name, args := range map[string][]string{
		"all.p7b":    {"crl2pkcs7", "-nocrl", "-certfile", "all.pem", "-outform", "DER", "-out", "all.p7b"},
		"all.p7c":    {"crl2pkcs7", "-nocrl", "-certfile", "all.pem", "-out", "all.p7c"},
		"list.p7b":   {"crl2pkcs7", "-in", "list.crl", "-certfile", "all.pem", "-outform", "DER", "-out", "list.p7b"},
		"sign.p7s":   {"smime", "-sign", "-in", "note", "-signer", "rsa.pem", "-inkey", "rsa.key", "-certfile", "chain.pem", "-outform", "DER", "-out", "sign.p7s"},
		"stream.p7s": {"smime", "-sign", "-stream", "-indef", "-nodetach", "-in", "note", "-signer", "rsa.pem", "-inkey", "rsa.key", "-certfile", "chain.pem", "-outform", "DER", "-out", "stream.p7s"},
		"cms.p7s":    {"cms", "-sign", "-stream", "-nodetach", "-in", "note", "-signer", "ec.pem", "-inkey", "ec.key", "-certfile", "chain.pem", "-outform", "DER", "-out", "cms.p7s"},
		"cms.pem":    {"cms", "-sign", "-nodetach", "-in", "note", "-signer", "ec.pem", "-inkey", "ec.key", "-certfile", "chain.pem", "-outform", "PEM", "-out", "cms.pem"},
	} {
		l.run(append([]string{"openssl"}, args...)...)
		data := l.read(name)
		form := "DER"
		if bytes.HasPrefix(data, []byte("-----")) {
			form = "PEM"
		}
		// The program pkcs7 does not know the other name of the block.
		l.write("plain", bytes.ReplaceAll(data, []byte("CMS-----"), []byte("PKCS7-----")))
		want := fingerprints(l.run("openssl", "pkcs7", "-inform", form, "-in", "plain", "-print_certs"))
		c, err := Parse(data, Options{})
		check(t, errors.Join(err, c.complaints()))
		if diff := cmp.Diff(want, c.fingerprints()); diff != "" || len(want) < 3 {
			t.Errorf("%s (-openssl +ours):\n%s", name, diff)
		}
		if lists := strings.Count(name, "list"); len(c.CRLs) != lists {
			t.Errorf("%s: %d lists, want %d", name, len(c.CRLs), lists)
		}
		l.stores++
		if form == "DER" {
			l.mutate(name, data, Options{}, random)
		}
	}
	if indefinite := l.read("stream.p7s"); indefinite[1] != 0x80 {
		t.Errorf("stream.p7s begins with % x, so that it proves nothing of lengths without end", indefinite[:4])
	}
}
