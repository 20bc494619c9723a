//go:build live

package certificate

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/certificate/endpoint"
	"hygiene_exporter/probes/certificate/revocation"
)

// An officialdom is an authority of OpenSSL with a responder of OpenSSL, and the
// lists that OpenSSL makes.
type officialdom struct {
	livePKI
	dir, responder, list string
}

// newOfficialdom starts the responder. Certificates whose serial number is even
// are revoked.
func newOfficialdom(t *testing.T) *officialdom {
	t.Helper()
	o := &officialdom{livePKI: newLivePKI(t), dir: t.TempDir()}
	port := freePort(t)
	o.responder = fmt.Sprintf("http://127.0.0.1:%d", port)
	server := httptest.NewServer(http.FileServer(http.Dir(o.dir)))
	t.Cleanup(server.Close)
	o.list = server.URL + "/list.der"
	der, err := x509.MarshalPKCS8PrivateKey(o.intermediate.key)
	if err != nil {
		t.Fatal(err)
	}
	var index strings.Builder
	for serial := range int64(100) {
		state, revoked := "V", ""
		if serial%2 == 0 {
			state, revoked = "R", "260101000000Z"
		}
		fmt.Fprintf(&index, "%s\t360101000000Z\t%s\t%X\tunknown\t/CN=%d\n", state, revoked, 0x100000+serial, serial)
	}
	for name, content := range map[string]string{
		"ca.pem": string(o.intermediate.pem()), "key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"index.txt": index.String(), "index.txt.attr": "", "crlnumber": "01\n",
		"ca.cnf": fmt.Sprintf("[ca]\ndefault_ca=c\n[c]\ndatabase=%[1]s/index.txt\ncrlnumber=%[1]s/crlnumber\ndefault_md=sha256\ndefault_crl_days=3\n", o.dir),
	} {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.openssl(t, "ca", "-config", "ca.cnf", "-gencrl", "-cert", "ca.pem", "-keyfile", "key.pem", "-out", "list.pem")
	o.openssl(t, "crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der")
	c := exec.Command("openssl", "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "key.pem", "-port", fmt.Sprint(port), "-ndays", "2")
	c.Dir = o.dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
	})
	// A connection without a request would stop it for ever, so it is believed
	// when it says that it waits for one.
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "waiting for OCSP client") {
			go io.Copy(io.Discard, log)
			return o
		}
	}
	t.Fatal("the responder does not listen")
	return nil
}

func (o *officialdom) openssl(t *testing.T, argv ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "openssl", argv...)
	c.Dir = o.dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// Revocations as a responder of OpenSSL, a list of OpenSSL and a server with
// stapling tell them, against what OpenSSL says of the same certificates.
func TestLiveRevocationsAreWhatOpenSSLSays(t *testing.T) {
	o := newOfficialdom(t)
	roots := x509.NewCertPool()
	roots.AddCert(o.root.Certificate)
	s := daemonOf(t, "nginx").place(t)
	s.write("nginx.conf", `pid %[1]s/pid; error_log stderr; daemon off; worker_processes 1;
events {} http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen 127.0.0.1:%[2]d ssl; listen unix:%[1]s/sock ssl; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem;
ssl_stapling on; ssl_stapling_file %[1]s/staple.der; } }`, s.dir, s.port["https"])
	for _, row := range []struct {
		name   string
		serial int64
		say    string // of OpenSSL
		want   revocation.Status
	}{
		{"a certificate in order", 0x100001, "good", revocation.Good},
		{"a revoked certificate", 0x100002, "revoked", revocation.Revoked},
	} {
		t.Run(row.name, func(t *testing.T) {
			leaf, chain, key := o.issue(t, variant{edit: func(c *x509.Certificate) {
				c.SerialNumber = big.NewInt(row.serial)
				c.OCSPServer, c.CRLDistributionPoints = []string{o.responder}, []string{o.list}
			}})
			s.install(chain, key)
			if err := os.WriteFile(filepath.Join(o.dir, "leaf.pem"), leaf.pem(), 0o600); err != nil {
				t.Fatal(err)
			}
			out := o.openssl(t, "ocsp", "-issuer", "ca.pem", "-cert", "leaf.pem", "-url", o.responder, "-CAfile", o.rootFile, "-verify_other", "ca.pem", "-trust_other", "-respout", s.path("staple.der"))
			if !strings.Contains(out, "leaf.pem: "+row.say) {
				t.Fatalf("OpenSSL says %s", out)
			}
			s.start()
			defer s.stop()
			target := Endpoint{Target: s.address("https"), Client: Client{ServerName: "server.test"}}.target(defaultHandshakes())
			target.Roots = roots
			for _, asked := range []revocation.Source{revocation.Responder, revocation.List} {
				asker := revocation.Asker{Dial: new(net.Dialer).DialContext, OCSP: asked == revocation.Responder, List: asked == revocation.List}
				i := endpoint.Inspector{Dial: new(net.Dialer).DialContext, Revoked: asker.Ask}
				server := i.Inspect(t.Context(), target).Servers[0]
				got := map[revocation.Source]revocation.Answer{}
				for _, a := range server.Revocation {
					got[a.Source] = a
				}
				for _, source := range []revocation.Source{revocation.Stapled, asked} {
					if a := got[source]; a.Status != row.want || a.NextUpdate.Before(time.Now()) {
						t.Errorf("%s says %q until %s: %v (%v)", source, a.Status, a.NextUpdate, a.Err, server.Failure)
					}
				}
			}
		})
	}
	var down revocation.Asker
	down.OCSP, down.Dial = true, func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	leaf := o.intermediate.issue(t, func(c *x509.Certificate) { c.OCSPServer = []string{o.responder} })
	if a, asked := down.Ask(t.Context(), leaf.Certificate, o.intermediate.Certificate); !asked || a.Status != revocation.Unknown || a.Err == nil {
		t.Errorf("a responder that is down: %+v", a)
	}
}
