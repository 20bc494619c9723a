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

// issue issues a certificate with the name as a name of a host, if it is no CA;
// without an issuer it signs itself.
func issue(t *testing.T, name string, ca bool, by *issued, key crypto.Signer) issued {
	t.Helper()
	return issueWith(t, name, ca, by, key, func(*x509.Certificate) {})
}

func issueWith(t *testing.T, name string, ca bool, by *issued, key crypto.Signer, change func(*x509.Certificate)) issued {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: begin, NotAfter: end, BasicConstraintsValid: true, IsCA: ca,
	}
	if !ca {
		template.DNSNames = []string{name}
	}
	change(template)
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
func (r *rig) findings(object string, of check) (found []string, pass, fail, unknown float64) {
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
		case s.Metric == findingCounts && s.Label("finding") == of.String():
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
	leaf := issue(t, "leaf.example", false, &middle, newKey(t))
	other := issue(t, "other.example", false, &middle, newKey(t))
	impostor := issue(t, "middle", true, &root, newKey(t)) // the same name and another key
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	with := func(name string, change func(*x509.Certificate)) []byte {
		return issueWith(t, name, false, &middle, newKey(t), change).pem()
	}
	encrypted := []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	type file struct {
		path string
		data []byte
		mode os.FileMode
	}
	chain := file{"/s/chain.pem", slices.Concat(middle.pem(), root.pem()), 0o644} // which makes the issuers known
	for name, c := range map[string]struct {
		files []file // the first is the object
		want  []string
	}{
		"a chain in order":                   {[]file{{"/s/a.pem", slices.Concat(leaf.pem(), middle.pem(), root.pem()), 0o644}}, nil},
		"a chain in disorder":                {[]file{{"/s/a.pem", slices.Concat(leaf.pem(), root.pem(), middle.pem()), 0o644}}, []string{"chain1 chain_disordered", "chain2 chain_disordered"}},
		"the leaf behind its issuer":         {[]file{{"/s/a.pem", slices.Concat(middle.pem(), leaf.pem()), 0o644}}, []string{"chain1 chain_disordered"}},
		"the right key beside":               {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", leaf.keyPEM(t), 0o600}}, nil},
		"the wrong key beside":               {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", other.keyPEM(t), 0o600}}, []string{"leaf key_mismatch"}},
		"the wrong key of certbot":           {[]file{{"/s/fullchain.pem", leaf.pem(), 0o644}, {"/s/privkey.pem", other.keyPEM(t), 0o600}}, []string{"leaf key_mismatch"}},
		"the wrong key of cfssl":             {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a-key.pem", other.keyPEM(t), 0o600}}, []string{"leaf key_mismatch"}},
		"the wrong key of Debian":            {[]file{{"/s/certs/a.pem", leaf.pem(), 0o644}, {"/s/private/a.key", other.keyPEM(t), 0o600}}, []string{"leaf key_mismatch"}},
		"the wrong key of Puppet":            {[]file{{"/s/certs/a.pem", leaf.pem(), 0o644}, {"/s/private_keys/a.pem", other.keyPEM(t), 0o600}}, []string{"leaf key_mismatch"}},
		"the right key in the file":          {[]file{{"/s/a.pem", slices.Concat(leaf.keyPEM(t), leaf.pem(), middle.pem()), 0o600}}, nil},
		"the wrong key in the file":          {[]file{{"/s/a.pem", slices.Concat(other.keyPEM(t), leaf.pem()), 0o600}}, []string{"leaf key_mismatch"}},
		"a file that everybody can read":     {[]file{{"/s/a.pem", slices.Concat(leaf.keyPEM(t), leaf.pem()), 0o644}}, []string{"leaf key_exposed"}},
		"a key that everybody can read":      {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", leaf.keyPEM(t), 0o644}}, []string{"leaf key_exposed"}},
		"a key that a group can read":        {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", leaf.keyPEM(t), 0o640}}, nil},
		"an encrypted key says nothing":      {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", encrypted, 0o600}}, nil},
		"a file that is no key":              {[]file{{"/s/a.pem", leaf.pem(), 0o644}, {"/s/a.key", []byte("no key"), 0o644}}, nil},
		"a small key":                        {[]file{{"/s/a.pem", issue(t, "weak.example", false, &middle, small).pem(), 0o644}}, []string{"leaf weak_key"}},
		"a certificate that signs itself":    {[]file{{"/s/a.pem", issue(t, "self.example", false, nil, newKey(t)).pem(), 0o644}}, []string{"leaf self_signed"}},
		"a server's, that calls itself a CA": {[]file{{"/s/a.pem", issueWith(t, "self.example", true, nil, newKey(t), func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} }).pem(), 0o644}}, []string{"leaf self_signed"}},
		"a root alone":                       {[]file{{"/s/a.pem", root.pem(), 0o644}}, nil},
		"no name of a host":                  {[]file{{"/s/a.pem", with("www.example.org", func(c *x509.Certificate) { c.DNSNames = nil }), 0o644}}, []string{"leaf no_san"}},
		"no name, for servers": {[]file{{"/s/a.pem", with("server", func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), 0o644}}, []string{"leaf no_san"}},
		"no name, for clients": {[]file{{"/s/a.pem", with("www.example.org", func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), 0o644}}, nil},
		"no name, of a person": {[]file{{"/s/a.pem", with("Kim Example", func(c *x509.Certificate) { c.DNSNames = nil }), 0o644}}, nil},
		"not valid yet":        {[]file{{"/s/a.pem", with("a.example", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(day), time.Now().Add(2*day) }), 0o644}}, []string{"leaf not_yet_valid"}},
		"the issuer is missing, and a stranger follows": {[]file{{"/s/a.pem", slices.Concat(leaf.pem(), root.pem()), 0o644}}, []string{"chain1 chain_disordered", "leaf chain_incomplete"}},
		"the issuer lies beside":                        {[]file{{"/s/a.pem", leaf.pem(), 0o644}, chain}, nil},
		"a private root lies elsewhere":                 {[]file{{"/s/a.pem", slices.Concat(leaf.pem(), middle.pem()), 0o644}, {"/s/ca/root.pem", root.pem(), 0o644}}, nil},
		"of a public authority, and alone":              {[]file{{"/s/a.pem", with("a.example", func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/ca.der"} }), 0o644}}, []string{"leaf chain_incomplete"}},
		"of an authority that nobody knows":             {[]file{{"/s/a.pem", leaf.pem(), 0o644}}, nil},
		"an issuer of the same name":                    {[]file{{"/s/a.pem", slices.Concat(leaf.pem(), impostor.pem(), root.pem()), 0o644}}, []string{"leaf chain_incomplete", "leaf untrusted"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s")
			for _, f := range c.files {
				r.write(f.path, f.data)
				r.do(os.Chmod(r.real(f.path), f.mode))
			}
			for range 2 {
				got, _, _, _ := r.findings(c.files[0].path, nonconforming)
				if diff := cmp.Diff(append([]string{}, c.want...), got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				r.settle() // and once more with what is remembered
			}
		})
	}
}

// Whether clients trust a certificate is a question only when somebody has said
// whom they trust.
func TestTrust(t *testing.T) {
	root := issue(t, "root", true, nil, newKey(t))
	middle := issue(t, "middle", true, &root, newKey(t))
	leaf := issue(t, "leaf.example", false, &middle, newKey(t))
	stranger := issue(t, "stranger", true, nil, newKey(t))
	for name, c := range map[string]struct {
		system, configured []byte
		chain              []byte
		want               []string
		unknown            float64
	}{
		"the system trusts the root":             {root.pem(), nil, slices.Concat(leaf.pem(), middle.pem()), nil, 0},
		"the system trusts the root in the file": {root.pem(), nil, slices.Concat(leaf.pem(), middle.pem(), root.pem()), nil, 0},
		"the system trusts the issuer":           {middle.pem(), nil, leaf.pem(), nil, 0},
		"the configuration trusts the root":      {stranger.pem(), root.pem(), slices.Concat(leaf.pem(), middle.pem()), nil, 0},
		"nobody trusts the root":                 {stranger.pem(), nil, slices.Concat(leaf.pem(), middle.pem()), nil, 0},
		"the configuration trusts another":       {nil, stranger.pem(), slices.Concat(leaf.pem(), middle.pem(), root.pem()), []string{"leaf untrusted"}, 0},
		"a certificate trusted for itself":       {nil, leaf.pem(), leaf.pem(), nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s")
			r.write("/s/a.pem", c.chain)
			if c.system != nil {
				r.write("/etc/pki/tls/certs/ca-bundle.crt", c.system)
			}
			if c.configured != nil {
				r.write("/etc/trust.pem", c.configured)
				r.config.Trust = []string{"/etc/trust.pem"}
			}
			got, _, _, unknown := r.findings("/s/a.pem", untrusted)
			if diff := cmp.Diff(append([]string{}, c.want...), got); diff != "" || unknown != c.unknown {
				t.Errorf("%v unknown (-want +got):\n%s", unknown, diff)
			}
		})
	}
	t.Run("a file of trust that is missing is a fault", func(t *testing.T) {
		r := newRig(t, "/s")
		r.write("/s/a.pem", leaf.pem())
		r.config.Trust = []string{"/none.pem"}
		if found, _, _, unknown := r.findings("/s/a.pem", untrusted); len(found) != 0 || unknown != 1 {
			t.Errorf("got %q, %v unknown", found, unknown)
		}
		r.expect("/s/a.pem leaf=leaf.example", "/none.pem fault not_found")
	})
	t.Run("the system comes to trust the root", func(t *testing.T) {
		r := newRig(t, "/s")
		r.write("/s/a.pem", slices.Concat(leaf.pem(), middle.pem()))
		r.settle()
		if _, pass, _, _ := r.findings("/s/a.pem", untrusted); pass != 0 {
			t.Error("it is trusted at once")
		}
		r.settle()
		r.write("/etc/pki/tls/certs/ca-bundle.crt", root.pem())
		r.run() // which finds the certificates to be read again
		if _, pass, _, _ := r.findings("/s/a.pem", untrusted); pass != 1 {
			t.Error("it is not trusted yet")
		}
	})
}

func TestAnOldCopyOfARenewedCertificateIsFound(t *testing.T) {
	root := issue(t, "root", true, nil, newKey(t))
	valid := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	made := func(key crypto.Signer, from, to time.Duration) []byte {
		return issueWith(t, "a.example", false, &root, key, valid(from, to)).pem()
	}
	for name, c := range map[string]struct {
		old, other []byte
		want       []string
	}{
		"overdue, and the new one is there":   {made(newKey(t), -80*day, 10*day), made(newKey(t), -20*day, 70*day), []string{"leaf older_duplicate"}},
		"expired, and the new one is there":   {made(newKey(t), -100*day, -10*day), made(newKey(t), -20*day, 70*day), []string{"leaf older_duplicate"}},
		"two of the same names, both in time": {made(newKey(t), -50*day, 40*day), made(newKey(t), -10*day, 80*day), nil},
		"of another kind of key":              {made(small, -80*day, 10*day), made(newKey(t), -20*day, 70*day), nil},
		"for other names":                     {made(newKey(t), -80*day, 10*day), issueWith(t, "b.example", false, &root, newKey(t), valid(-20*day, 70*day)).pem(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s")
			r.write("/s/old.pem", c.old)
			r.write("/s/other.pem", c.other)
			got, _, _, _ := r.findings("/s/old.pem", olderDuplicate)
			if diff := cmp.Diff(append([]string{}, c.want...), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got, _, _, _ := r.findings("/s/other.pem", olderDuplicate); len(got) != 0 {
				t.Errorf("the new one: %q", got)
			}
		})
	}
}

func TestAKeyThatCannotBeReadIsUnknownAndNoMatch(t *testing.T) {
	r := newRig(t, "/s")
	root := issue(t, "root", true, nil, newKey(t))
	leaf := issue(t, "leaf", false, &root, newKey(t))
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
	root := issue(t, "root", true, nil, newKey(t))
	leaf := issue(t, "leaf", false, &root, newKey(t))
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
