package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// issued is a certificate with what it takes to issue another.
type issued struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (i issued) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw})
}

func (i issued) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// issue issues a certificate; without an issuer it signs itself.
func issue(t *testing.T, name string, ca bool, by *issued, key crypto.Signer) issued {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: begin, NotAfter: end, BasicConstraintsValid: true, IsCA: ca,
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{certificate, key}
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// findings runs the probe and returns the findings of an object, and the counts
// of one of them.
func (r *rig) findings(object, of string) (found []string, pass, fail, unknown float64) {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	found = []string{}
	for _, s := range result.Samples {
		switch {
		case s.Metric == finding && s.Object() == object:
			found = append(found, s.Label("slot")+" "+s.Label("finding"))
		case s.Metric == findingCounts && s.Label("finding") == of:
			switch s.Label("result") {
			case "pass":
				pass = s.Value
			case "fail":
				fail = s.Value
			case "unknown":
				unknown = s.Value
			}
		}
	}
	slices.Sort(found)
	return found, pass, fail, unknown
}

func TestFindingsOfFiles(t *testing.T) {
	root := issue(t, "root", true, nil, newKey(t))
	middle := issue(t, "middle", true, &root, newKey(t))
	leaf := issue(t, "leaf", false, &middle, newKey(t))
	other := issue(t, "other", false, &middle, newKey(t))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	type file struct {
		path string
		data []byte
		mode os.FileMode
	}
	for name, c := range map[string]struct {
		files []file // the first is the object
		want  []string
	}{
		"a chain in order":                {[]file{{"/s/a.pem", slices.Concat(leaf.pem(), middle.pem(), root.pem()), 0o644}}, nil},
		"a chain in disorder":             {[]file{{"/s/a.pem", slices.Concat(leaf.pem(), root.pem(), middle.pem()), 0o644}}, []string{"chain1 chain_disordered", "chain2 chain_disordered"}},
		"the leaf behind its issuer":      {[]file{{"/s/a.pem", slices.Concat(middle.pem(), leaf.pem()), 0o644}}, []string{"chain1 chain_disordered"}},
		"the right key beside":            {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", leaf.keyPEM(t), 0o600}}, nil},
		"the wrong key beside":            {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", other.keyPEM(t), 0o600}}, []string{"leaf key_mismatch"}},
		"the wrong key of certbot":        {[]file{{"/s/fullchain.pem", leaf.pem(), 0o644}, {"/s/privkey.pem", other.keyPEM(t), 0o600}}, []string{"leaf key_mismatch"}},
		"the right key in the file":       {[]file{{"/s/a.pem", slices.Concat(leaf.keyPEM(t), leaf.pem(), middle.pem()), 0o600}}, nil},
		"the wrong key in the file":       {[]file{{"/s/a.pem", slices.Concat(other.keyPEM(t), leaf.pem()), 0o600}}, []string{"leaf key_mismatch"}},
		"a key that everybody can read":   {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", leaf.keyPEM(t), 0o644}}, []string{"leaf key_exposed"}},
		"a key that a group can read":     {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", leaf.keyPEM(t), 0o640}}, nil},
		"an encrypted key says nothing":   {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", encrypted, 0o600}}, nil},
		"a file that is no key":           {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", []byte("no key"), 0o644}}, nil},
		"a small key":                     {[]file{{"/s/a.pem", issue(t, "weak", false, &middle, small).pem(), 0o644}}, []string{"leaf weak_key"}},
		"a certificate that signs itself": {[]file{{"/s/a.pem", issue(t, "self", false, nil, newKey(t)).pem(), 0o644}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s")
			for _, f := range c.files {
				r.write(f.path, f.data)
				r.do(os.Chmod(r.real(f.path), f.mode))
			}
			got, _, _, _ := r.findings(c.files[0].path, nonconforming)
			if diff := cmp.Diff(append([]string{}, c.want...), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAKeyThatCannotBeReadIsUnknownAndNoMatch(t *testing.T) {
	r := newRig(t, "/s")
	leaf := issue(t, "leaf", false, nil, newKey(t))
	r.write("/s/a.pem", leaf.pem())
	r.write("/s/b.pem", leaf.pem())
	r.write("/s/b.key", leaf.keyPEM(t))
	r.write("/s/a.key", leaf.keyPEM(t))
	r.do(os.Chmod(r.real("/s/a.key"), 0o600))
	unprivileged(t, func() {
		if found, pass, fail, unknown := r.findings("/s/a.pem", keyMismatch); len(found) != 0 || pass != 1 || fail != 0 || unknown != 1 {
			t.Errorf("got %q, pass %v, fail %v, unknown %v", found, pass, fail, unknown)
		}
	})
}

// A key that changes without its certificate is noticed, and so is its repair.
func TestAChangedKeyIsNoticed(t *testing.T) {
	r := newRig(t, "/s")
	leaf := issue(t, "leaf", false, nil, newKey(t))
	r.write("/s/a.pem", leaf.pem())
	steps := []struct {
		key  []byte
		want int
	}{{leaf.keyPEM(t), 0}, {issue(t, "x", false, nil, newKey(t)).keyPEM(t), 1}, {leaf.keyPEM(t), 0}}
	for i, step := range steps {
		r.write("/s/new", step.key)
		r.do(os.Chmod(r.real("/s/new"), 0o600), os.Rename(r.real("/s/new"), filepath.Join(r.root, "/s/a.key")))
		if found, _, _, _ := r.findings("/s/a.pem", keyMismatch); len(found) != step.want {
			t.Errorf("step %d: %q", i, found)
		}
		r.settle()
	}
}
