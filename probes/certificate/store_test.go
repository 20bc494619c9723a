package certificate

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
