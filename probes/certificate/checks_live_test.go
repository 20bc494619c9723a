//go:build live

package certificate

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A workshop is a directory in which OpenSSL makes what the checks are about.
type workshop struct {
	*testing.T
	dir string
}

func (w workshop) openssl(args ...string) (string, error) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "openssl", args...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w workshop) must(args ...string) string {
	w.Helper()
	out, err := w.openssl(args...)
	if err != nil {
		w.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	return out
}

// issue makes a certificate of a kind of key, self-signed if there is no issuer.
func (w workshop) issue(name, issuer string, key []string, extensions ...string) {
	w.Helper()
	args := slices.Concat([]string{"req", "-x509", "-nodes", "-keyout", name + ".key", "-out", name + ".pem", "-days", "30", "-subj", "/CN=" + name}, key)
	if issuer != "" {
		args = append(args, "-CA", issuer+".pem", "-CAkey", issuer+".key")
	}
	for _, extension := range extensions {
		args = append(args, "-addext", extension)
	}
	w.must(args...)
}

func keyKinds() map[string][]string {
	return map[string][]string{
		"rsa": {"-newkey", "rsa:2048"}, "small": {"-newkey", "rsa:1024"}, "p256": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
		"p521": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"}, "brainpool": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"},
		"k1": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, "ed25519": {"-newkey", "ed25519"}, "ed448": {"-newkey", "ed448"},
		"pss": {"-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"},
	}
}

// Whether a key belongs to a certificate is what OpenSSL says, for every kind of
// key, in every form in which OpenSSL writes one, for right and wrong ones.
func TestLiveKeysBelongToCertificatesAsOpenSSLSays(t *testing.T) {
	w := workshop{t, t.TempDir()}
	w.issue("root", "", keyKinds()["rsa"])
	forms := map[string][]string{
		"pkcs8": {"pkey"}, "traditional": {"pkey", "-traditional"}, "encrypted": {"pkey", "-aes256", "-passout", "pass:secret"},
	}
	compared, unreadable := 0, []string{}
	for kind, key := range keyKinds() {
		w.issue(kind, "root", key, "basicConstraints=critical,CA:FALSE", "subjectAltName=DNS:"+kind+".example")
		w.issue(kind+"-other", "root", key, "basicConstraints=critical,CA:FALSE")
		for form, args := range forms {
			for _, right := range []bool{true, false} {
				from := kind + ".key"
				if !right {
					from = kind + "-other.key"
				}
				out, err := w.openssl(append(args, "-in", from, "-out", "made.key")...)
				if err != nil {
					t.Logf("%s, %s: OpenSSL does not write it: %s", kind, form, out)
					continue
				}
				belongs := w.must("x509", "-in", kind+".pem", "-noout", "-pubkey") == w.must("pkey", "-in", "made.key", "-pubout", "-passin", "pass:secret")
				if belongs != right {
					t.Fatalf("%s, %s: OpenSSL says %v", kind, form, belongs)
				}
				r := newRig(t, "/s")
				for path, source := range map[string]string{"/s/a.pem": kind + ".pem", "/s/a.key": "made.key"} {
					data, err := os.ReadFile(filepath.Join(w.dir, source))
					r.do(err)
					r.write(path, data)
				}
				r.do(os.Chmod(r.real("/s/a.key"), 0o600))
				found, pass, _, unknown := r.findings("/s/a.pem", keyMismatch)
				mismatch := slices.Contains(found, "leaf key_mismatch")
				compared++
				switch {
				case unknown == 1 && !mismatch:
					unreadable = append(unreadable, kind+" "+form)
				case mismatch == right, (pass == 1) != right:
					t.Errorf("%s, %s, the right one %v: findings %q, pass %v", kind, form, right, found, pass)
				}
			}
		}
	}
	for _, one := range unreadable {
		// Of Ed448 there is only a seed in the file, and Go does not know the curve.
		if !strings.HasSuffix(one, " encrypted") && one != "ed448 pkcs8" {
			t.Errorf("the key %s was not read", one)
		}
	}
	t.Logf("%d keys compared, %d encrypted or of Ed448 and not judged", compared, len(unreadable))
}

// Whether a chain can be verified is what OpenSSL says.
func TestLiveChainsAreTrustedAsOpenSSLSays(t *testing.T) {
	w := workshop{t, t.TempDir()}
	ca := "basicConstraints=critical,CA:TRUE"
	leaf := []string{"basicConstraints=critical,CA:FALSE", "subjectAltName=DNS:a.example"}
	compared := 0
	for kind, key := range keyKinds() {
		w.issue("root", "", key, ca)
		w.issue("stranger", "", key, ca)
		w.issue("middle", "root", key, ca)
		w.issue("leaf", "middle", key, leaf...)
		if err := os.Rename(filepath.Join(w.dir, "middle.pem"), filepath.Join(w.dir, "true.pem")); err != nil {
			t.Fatal(err)
		}
		w.issue("middle", "root", key, ca) // another key under the same name
		if err := os.Rename(filepath.Join(w.dir, "middle.pem"), filepath.Join(w.dir, "impostor.pem")); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct{ chain, trust []string }{
			"whole":              {[]string{"leaf", "true"}, []string{"root"}},
			"with the root":      {[]string{"leaf", "true", "root"}, []string{"root"}},
			"without the issuer": {[]string{"leaf"}, []string{"root"}},
			"an impostor":        {[]string{"leaf", "impostor"}, []string{"root"}},
			"another root":       {[]string{"leaf", "true"}, []string{"stranger"}},
			"both roots":         {[]string{"leaf", "true"}, []string{"stranger", "root"}},
		} {
			join := func(names []string) (data []byte) {
				for _, name := range names {
					one, err := os.ReadFile(filepath.Join(w.dir, name+".pem"))
					if err != nil {
						t.Fatal(err)
					}
					data = append(data, one...)
				}
				return data
			}
			r := newRig(t, "/s")
			r.write("/s/chain.pem", join(c.chain))
			r.write("/trust.pem", join(c.trust))
			r.config.Trust = []string{"/trust.pem"}
			out, err := w.openssl("verify", "-no-CApath", "-no-CAstore", "-auth_level", "0", "-CAfile", r.real("/trust.pem"), "-untrusted", r.real("/s/chain.pem"), r.real("/s/chain.pem"))
			_, pass, fail, unknown := r.findings("/s/chain.pem", untrusted)
			compared++
			if diff := cmp.Diff(fmt.Sprint("trusted ", err == nil), fmt.Sprint("trusted ", pass == 1)); diff != "" || unknown > 0 || pass+fail != 1 {
				t.Errorf("%s, %s: OpenSSL says %s; pass %v, fail %v, unknown %v", kind, name, strings.TrimSpace(out), pass, fail, unknown)
			}
		}
	}
	t.Logf("%d chains compared", compared)
}

// The authorities that this host trusts are no findings: each of them is judged,
// and what is unknown is said.
func TestLiveFewRealCertificatesAreUnknown(t *testing.T) {
	paths, err := filepath.Glob("/etc/ssl/certs/*.pem")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d certificates, %v; install ca-certificates", len(paths), err)
	}
	r := newRig(t, "/s")
	for i, path := range paths {
		data, err := os.ReadFile(path)
		r.do(err)
		r.write(fmt.Sprintf("/s/%d.pem", i), data)
	}
	for check := range checks {
		_, pass, fail, unknown := r.findings("", check)
		if made := pass + fail + unknown; unknown*50 > made {
			t.Errorf("%s: %v of %v are unknown", check, unknown, made)
		}
	}
}
