package certificate

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"hygiene_exporter/probes"
)

// stores puts the stores of testdata, which real programs made, into the
// directory /s of a rig.
func (r *rig) stores() {
	r.t.Helper()
	r.do(filepath.WalkDir("testdata/stores", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			r.write(strings.Replace(path, "testdata/stores", "/s", 1), data)
		}
		return err
	}))
}

func TestStoresOfRealPrograms(t *testing.T) {
	r := newRig(t, "/s/**")
	r.config.Sources[0].PasswordsFile = "/run/credentials/stores"
	r.write("/run/credentials/stores", []byte("wrong\nsecret\n"))
	r.stores()
	want := []string{
		"/s/web.p12#web leaf=www.example.org", "/s/web.p12#web chain1=root",
		"/s/legacy.pfx#web leaf=www.example.org", "/s/legacy.pfx#web chain1=root",
		"/s/web.jks#web leaf=www.example.org", "/s/web.jks#web chain1=root", "/s/web.jks#authority leaf=root",
		"/s/web.jceks#authority leaf=root", "/s/modern.jks#authority leaf=root",
		"/s/empty.jks fault malformed",
		"/s/truncated.jks fault malformed", "/s/truncated.jks#web fault malformed", "/s/truncated.jks#web leaf=www.example.org",
		"/s/chain.p7b leaf=www.example.org", "/s/chain.p7b chain1=root",
		"/s/admin.conf#clusters[prod].cluster.certificate-authority-data leaf=root",
		"/s/admin.conf#users[kim].user.client-certificate-data leaf=www.example.org", "/s/pki/lee.crt leaf=www.example.org",
		"/s/secret.yaml#data.tls.crt leaf=www.example.org",
		"/s/host-cert.pub leaf=host.example.org", "/s/forever-cert.pub leaf=forever.example.org",
	}
	r.expect(want...)
	r.settle()
	r.expect(want...)
}

func TestPasswordsOfStores(t *testing.T) {
	for name, c := range map[string]struct {
		passwords string // "-" is no file
		want      []string
	}{
		"the right one":  {"secret\n", []string{"/s/web.p12#web chain1=root", "/s/web.p12#web leaf=www.example.org", "/s/web.jceks#authority leaf=root"}},
		"the wrong ones": {"guess\nother\n", []string{"/s/web.p12 fault auth", "/s/web.jceks fault auth", "/s/web.jceks#authority leaf=root"}},
		// A Java keystore can be read without its password.
		"none":         {"", []string{"/s/web.p12 fault auth", "/s/web.jceks#authority leaf=root"}},
		"without file": {"-", []string{"/passwords fault not_found", "/s/web.p12 fault auth", "/s/web.jceks#authority leaf=root"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s/web.p12", "/s/web.jceks")
			r.config.Sources[0].PasswordsFile = "/passwords"
			if c.passwords != "-" {
				r.write("/passwords", []byte(c.passwords))
			}
			r.stores()
			r.expect(c.want...)
		})
	}
}

// A password that comes later opens the store, which has not changed itself; one
// that is taken away leaves what was known as unavailable, and not as removed.
func TestAStoreIsReadAgainWhenItsPasswordChanges(t *testing.T) {
	r := newRig(t, "/s/web.p12")
	r.config.Sources[0].PasswordsFile = "/passwords"
	r.stores()
	r.write("/passwords", []byte("guess"))
	r.expect("/s/web.p12 fault auth")
	r.settle()
	r.write("/passwords", []byte("secret"))
	r.expect("/s/web.p12#web chain1=root", "/s/web.p12#web leaf=www.example.org")
	r.settle()
	r.write("/passwords", []byte("guess"))
	r.expect("/s/web.p12 fault auth", "/s/web.p12#web fault unavailable")
}

func TestNoPasswordIsToldToAnybody(t *testing.T) {
	r := newRig(t, "/s/**")
	r.config.Sources[0].PasswordsFile = "/passwords"
	r.write("/passwords", []byte("hunter2\nsecret-of-mine\n"))
	r.stores()
	result, err := r.probe.Run(t.Context())
	r.do(err)
	told := ""
	for _, fault := range result.Faults {
		told += fault.Object + fault.Err.Error()
		if _, err := r.probe.Explain(t.Context(), fault.Object); err != nil {
			t.Error(err)
		}
	}
	for _, sample := range result.Samples {
		told += strings.Join(sample.Labels, " ")
	}
	if strings.Contains(told, "hunter2") || strings.Contains(told, "secret-of-mine") || !strings.Contains(told, "no password fits") {
		t.Error(told)
	}
}

func TestEntriesComeAndGoWithTheirStore(t *testing.T) {
	prepare := func(t *testing.T) *rig {
		r := newRig(t, "/s/*.jks")
		r.stores()
		r.remove("/s/empty.jks")
		r.remove("/s/truncated.jks")
		r.remove("/s/modern.jks")
		r.expect("/s/web.jks#authority leaf=root", "/s/web.jks#web chain1=root", "/s/web.jks#web leaf=www.example.org")
		return r
	}
	replace := func(r *rig, with string) {
		data, err := os.ReadFile("testdata/stores/" + with)
		r.do(err)
		r.write("/s/web.jks", data)
	}
	t.Run("an entry is not in the store any more", func(t *testing.T) {
		r := prepare(t)
		replace(r, "web.jceks") // which has the other entry only
		r.expect("/s/web.jks#authority leaf=root", "/s/web.jks#web gone")
	})
	t.Run("the store is cut, so that an entry may be there", func(t *testing.T) {
		r := prepare(t)
		replace(r, "truncated.jks")
		r.expect("/s/web.jks fault malformed", "/s/web.jks#authority fault unavailable", "/s/web.jks#web fault malformed", "/s/web.jks#web leaf=www.example.org")
		replace(r, "web.jks")
		r.expect("/s/web.jks#authority leaf=root", "/s/web.jks#web chain1=root", "/s/web.jks#web leaf=www.example.org")
	})
	t.Run("the store is emptied", func(t *testing.T) {
		r := prepare(t)
		replace(r, "empty.jks")
		r.expect("/s/web.jks fault malformed", "/s/web.jks#authority fault unavailable", "/s/web.jks#web fault unavailable")
	})
	t.Run("the store is removed", func(t *testing.T) {
		r := prepare(t)
		r.remove("/s/web.jks")
		r.expect("/s/web.jks gone", "/s/web.jks#authority gone", "/s/web.jks#web gone")
	})
	t.Run("the directory cannot be read", func(t *testing.T) {
		r := prepare(t)
		r.do(os.Chmod(r.real("/s"), 0))
		defer os.Chmod(r.real("/s"), 0o755)
		unprivileged(t, func() {
			r.expect("/s fault permission_denied", "/s/web.jks fault unavailable", "/s/web.jks#authority fault unavailable", "/s/web.jks#web fault unavailable")
		})
	})
}

func TestWhatAKubeconfigNames(t *testing.T) {
	embedded := []string{
		"/s/admin.conf#clusters[prod].cluster.certificate-authority-data leaf=root",
		"/s/admin.conf#users[kim].user.client-certificate-data leaf=www.example.org",
	}
	r := newRig(t, "/s/*.conf")
	r.stores()
	r.config.Sources[0].Exclude = []string{"/s/pki/**"}
	r.expect(embedded...)
	r.config.Sources[0].Exclude = nil
	r.expect(append(embedded, "/s/pki/lee.crt leaf=www.example.org")...)
	r.do(os.Rename(r.real("/s/admin.conf"), r.real("/s/admin.other")))
	r.write("/s/admin.conf", []byte("kind: Config\nusers: []\n"))
	r.expect("/s/admin.conf fault malformed", embedded[0][:len("/s/admin.conf#clusters[prod].cluster.certificate-authority-data")]+" fault unavailable",
		"/s/admin.conf#users[kim].user.client-certificate-data fault unavailable", "/s/pki/lee.crt fault unavailable")
	r.do(os.Rename(r.real("/s/admin.other"), r.real("/s/admin.conf")))
	r.remove("/s/pki/lee.crt")
	r.expect(append(embedded, "/s/pki/lee.crt fault not_found")...)
	r.remove("/s/admin.conf")
	r.expect("/s/admin.conf gone", "/s/admin.conf#clusters[prod].cluster.certificate-authority-data gone",
		"/s/admin.conf#users[kim].user.client-certificate-data gone", "/s/pki/lee.crt gone")
}

// What has no end has no deadline, and is watched all the same.
func TestACertificateOfOpenSSHMayLiveForEver(t *testing.T) {
	r := newRig(t, "/s")
	r.stores()
	result, err := r.probe.Run(t.Context())
	r.do(err)
	got := map[string][]string{}
	for _, s := range result.Samples {
		if strings.HasSuffix(s.Object(), "-cert.pub") {
			got[s.Object()] = append(got[s.Object()], strings.TrimPrefix(s.Metric.Name, "hygiene_certificate_"))
		}
	}
	if want := "info"; strings.Join(got["/s/forever-cert.pub"], " ") != want {
		t.Errorf("got %q", got["/s/forever-cert.pub"])
	}
	if len(got["/s/host-cert.pub"]) != 6 {
		t.Errorf("got %q", got["/s/host-cert.pub"])
	}
}

func TestRevocationLists(t *testing.T) {
	r := newRig(t, "/s/list.crl", "/s/chain.p7b")
	r.stores()
	result, err := r.probe.Run(t.Context())
	r.do(err)
	lists := map[string]bool{}
	for _, s := range result.Samples {
		if s.Metric == crlNextUpdate {
			lists[s.Object()] = s.Value > probes.Seconds(begin)
		}
	}
	if len(lists) != 2 || !lists["/s/list.crl"] || !lists["/s/chain.p7b"] {
		t.Errorf("got %v", lists)
	}
}

// A store with a great many trusted certificates is a trust store, as a file is.
func TestAKeystoreOfManyAuthoritiesIsATrustStore(t *testing.T) {
	r := newRig(t, "/s/web.jks", "/s/modern.jks")
	r.config.TrustStoreSize, r.config.Sources[0].PasswordsFile = 1, "/passwords"
	r.write("/passwords", []byte("secret"))
	r.stores()
	// One trusted certificate is not more than one.
	r.expect("/s/web.jks#authority leaf=root", "/s/web.jks#web leaf=www.example.org", "/s/web.jks#web chain1=root", "/s/modern.jks#authority leaf=root")
	data, err := os.ReadFile("testdata/cacerts.jks")
	r.do(err)
	r.write("/s/modern.jks", data)
	r.expect("/s/web.jks#authority leaf=root", "/s/web.jks#web leaf=www.example.org", "/s/web.jks#web chain1=root",
		"/s/modern.jks expired=0", "/s/modern.jks not_yet_valid=0", "/s/modern.jks valid=3", "/s/modern.jks#authority gone")
}

func TestCredentialsOfSystemd(t *testing.T) {
	r := newRig(t, "/s/web.p12")
	r.config.Sources[0].PasswordsFile = "stores"
	r.stores()
	r.expect("stores fault not_found", "/s/web.p12 fault auth")
	r.write("/run/credentials/stores", []byte("secret"))
	r.expect("/s/web.p12#web chain1=root", "/s/web.p12#web leaf=www.example.org")
	host := r.world.Host()
	host.Credentials = nil // as of an agent that systemd has not started
	r.probe = newProbe(r.config, host)
	r.expect("stores fault not_found", "/s/web.p12 fault auth", "/s/web.p12#web fault unavailable")
}

func TestKeysInStoresAreCompared(t *testing.T) {
	verdictsOf := func(r *rig, object string) (mismatch, exposed verdict) {
		t.Helper()
		if _, err := r.probe.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, f := r.probe.fileOf(object)
		for _, p := range f.parts {
			if p.object == object {
				return p.verdicts[0][keyMismatch], p.verdicts[0][keyExposed]
			}
		}
		t.Fatalf("there is no %s", object)
		return 0, 0
	}
	r := newRig(t, "/s/**")
	r.config.Sources[0].PasswordsFile = "/passwords"
	r.write("/passwords", []byte("secret"))
	r.stores()
	for object, want := range map[string][2]verdict{
		"/s/web.p12#web":              {pass, pass}, // everybody can read it, and a password guards it
		"/s/legacy.pfx#web":           {pass, pass},
		"/s/web.jks#web":              {pass, pass},
		"/s/web.jks#authority":        {notMade, notMade},
		"/s/secret.yaml#data.tls.crt": {notMade, notMade},
	} {
		if mismatch, exposed := verdictsOf(r, object); mismatch != want[0] || exposed != want[1] {
			t.Errorf("%s: mismatch %v, exposed %v, want %v", object, mismatch, exposed, want)
		}
	}
	t.Run("a key under a key beside", func(t *testing.T) {
		r := newRig(t, "/s/*")
		root := issue(t, "root", true, nil, newKey(t))
		a, b := issue(t, "a.example", false, &root, newKey(t)), issue(t, "b.example", false, &root, newKey(t))
		secret := func(certificate, key []byte) []byte {
			encoded := base64.StdEncoding.EncodeToString
			return []byte("kind: Secret\ndata:\n  tls.crt: " + encoded(certificate) + "\n  tls.key: " + encoded(key) + "\n")
		}
		r.write("/s/right.yaml", secret(a.pem(), a.keyPEM(t)))
		r.write("/s/wrong.yaml", secret(a.pem(), b.keyPEM(t)))
		r.do(os.Chmod(r.real("/s/right.yaml"), 0o600))
		if mismatch, exposed := verdictsOf(r, "/s/right.yaml#data.tls.crt"); mismatch != pass || exposed != pass {
			t.Errorf("right: %v, %v", mismatch, exposed)
		}
		if mismatch, exposed := verdictsOf(r, "/s/wrong.yaml#data.tls.crt"); mismatch != fail || exposed != fail {
			t.Errorf("wrong: %v, %v", mismatch, exposed)
		}
	})
}

func TestHostKeysOfOpenSSHAreCompared(t *testing.T) {
	certificate, err := os.ReadFile("testdata/stores/host-cert.pub")
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "/s")
	r.write("/s/host-cert.pub", certificate)
	r.write("/s/host", pem.EncodeToMemory(block)) // of another key
	r.do(os.Chmod(r.real("/s/host"), 0o600))
	if found, _, _, _ := r.findings("/s/host-cert.pub", keyMismatch); len(found) != 1 || found[0] != "leaf key_mismatch" {
		t.Errorf("got %q", found)
	}
}

// What is enormous becomes no enormous label.
func TestManyNamesStayBounded(t *testing.T) {
	root := issue(t, "root", true, nil, newKey(t))
	huge := issueWith(t, "www.example.org", false, &root, newKey(t), func(c *x509.Certificate) {
		for i := range 10_000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("%d.example.org", i))
		}
	})
	r := newRig(t, "/s")
	r.write("/s/a.pem", huge.pem())
	result, err := r.probe.Run(t.Context())
	r.do(err)
	for _, s := range result.Samples {
		for _, label := range s.Labels {
			if len(label) > 200 {
				t.Errorf("%s has a label of %d bytes", s.Metric.Name, len(label))
			}
		}
		if s.Metric == info && s.Label("sans") != "www.example.org,0.example.org,1.example.org,2.example.org,3.example.org (+9996)" {
			t.Errorf("got %q", s.Label("sans"))
		}
	}
}

func TestForgedAndEndlessRevocationLists(t *testing.T) {
	signs := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }
	root := issueWith(t, "root", true, nil, newKey(t), signs)
	impostor := issueWith(t, "root", true, nil, newKey(t), signs)
	list := func(by issued) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: begin, NextUpdate: end}, by.certificate, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	}
	for name, c := range map[string]struct {
		files map[string][]byte
		want  []string
		pass  float64
	}{
		"its authority is here":     {map[string][]byte{"/s/a.crl": list(root), "/s/ca.pem": root.pem()}, nil, 1},
		"another of that name":      {map[string][]byte{"/s/a.crl": list(impostor), "/s/ca.pem": root.pem()}, []string{"crl crl_signature_invalid"}, 0},
		"both of that name":         {map[string][]byte{"/s/a.crl": list(impostor), "/s/ca.pem": root.pem(), "/s/old.pem": impostor.pem()}, nil, 1},
		"its authority is not here": {map[string][]byte{"/s/a.crl": list(root)}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s")
			for path, data := range c.files {
				r.write(path, data)
			}
			found, pass, _, _ := r.findings("/s/a.crl", listForged)
			if diff := cmp.Diff(append([]string{}, c.want...), found); diff != "" || pass != c.pass {
				t.Errorf("%v pass (-want +got):\n%s", pass, diff)
			}
		})
	}
}
