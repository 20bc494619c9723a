package revocation

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"hygiene_exporter/probes"
)

const hour = time.Hour

func noon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// A signer is a certificate with its key.
type signer struct {
	*x509.Certificate
	key crypto.Signer
}

func issue(t testing.TB, by *signer, edit func(*x509.Certificate)) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: noon().Add(-hour), NotAfter: noon().Add(1000 * hour),
	}
	edit(template)
	parent, parentKey := template, crypto.Signer(key)
	if by != nil {
		parent, parentKey = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{made, key}
}

func ca(c *x509.Certificate) {
	c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "ca", true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	c.SubjectKeyId = []byte("ca")
}

// answerOf makes a response, signed by an authority or its delegate.
func answerOf(t testing.TB, by, signedBy *signer, edit func(*ocsp.Response)) []byte {
	t.Helper()
	template := ocsp.Response{Status: ocsp.Good, SerialNumber: big.NewInt(77), ThisUpdate: noon().Add(-hour), NextUpdate: noon().Add(hour)}
	if signedBy != by {
		template.Certificate = signedBy.Certificate
	}
	if edit != nil {
		edit(&template)
	}
	raw, err := ocsp.CreateResponse(by.Certificate, signedBy.Certificate, template, signedBy.key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestResponsesAreBelievedOnlyWithAReason(t *testing.T) {
	authority := issue(t, nil, ca)
	leaf := issue(t, authority, func(*x509.Certificate) {})
	stranger := issue(t, nil, ca)
	signing := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }
	delegate := issue(t, authority, signing)
	below := issue(t, authority, func(c *x509.Certificate) { ca(c); c.SubjectKeyId = []byte("below") })
	for _, row := range []struct {
		name   string
		raw    []byte
		issuer *x509.Certificate
		want   Status
		reason probes.Reason
	}{
		{"the issuer says that it is good", answerOf(t, authority, authority, nil), authority.Certificate, Good, ""},
		{"the issuer says so, and sends its own certificate", answerOf(t, below, below, func(r *ocsp.Response) { r.Certificate = below.Certificate }), below.Certificate, Good, ""},
		{"a delegate of somebody else says so", answerOf(t, authority, issue(t, stranger, signing), nil), authority.Certificate, Unverified, probes.Malformed},
		{"a delegate of the issuer says so", answerOf(t, authority, delegate, nil), authority.Certificate, Good, ""},
		{"it is revoked", answerOf(t, authority, authority, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, noon() }), authority.Certificate, Revoked, ""},
		{"it is revoked, in a response that is out of date", answerOf(t, authority, authority, func(r *ocsp.Response) {
			r.Status, r.RevokedAt, r.NextUpdate = ocsp.Revoked, noon(), noon().Add(-time.Minute)
		}), authority.Certificate, Revoked, ""},
		{"the responder does not know it", answerOf(t, authority, authority, func(r *ocsp.Response) { r.Status = ocsp.Unknown }), authority.Certificate, Unknown, probes.Other},
		{"it was good until lately", answerOf(t, authority, authority, func(r *ocsp.Response) { r.NextUpdate = noon().Add(-time.Minute) }), authority.Certificate, Stale, ""},
		{"it will be good", answerOf(t, authority, authority, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = noon().Add(hour), noon().Add(2*hour) }), authority.Certificate, Unverified, probes.Malformed},
		{"another certificate is good", answerOf(t, authority, authority, func(r *ocsp.Response) { r.SerialNumber = big.NewInt(78) }), authority.Certificate, Unverified, probes.Malformed},
		{"somebody else says that it is good", answerOf(t, authority, stranger, nil), authority.Certificate, Unverified, probes.Malformed},
		{"the certificate vouches for itself", answerOf(t, authority, leaf, nil), authority.Certificate, Unverified, probes.Malformed},
		{"a delegate whose time is over says so", answerOf(t, authority, issue(t, authority, func(c *x509.Certificate) { signing(c); c.NotAfter = noon().Add(-time.Minute) }), nil), authority.Certificate, Unverified, probes.Malformed},
		{"nobody knows the issuer", answerOf(t, authority, authority, nil), nil, Unknown, probes.NotFound},
		{"the responder says to try later", []byte{0x30, 0x03, 0x0a, 0x01, 0x03}, authority.Certificate, Unknown, probes.Unavailable},
		{"it is no response", []byte("<html>"), authority.Certificate, Unverified, probes.Malformed},
		{"it is nothing", nil, authority.Certificate, Unverified, probes.Malformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := Read(Stapled, row.raw, leaf.Certificate, row.issuer, noon())
			var reason probes.Reason
			if a.Err != nil {
				reason = probes.ReasonOf(a.Err)
			}
			if a.Status != row.want || reason != row.reason {
				t.Errorf("%s %s (%v), want %s %s", a.Status, reason, a.Err, row.want, row.reason)
			}
		})
	}
}

// A world is an authority with a responder and a list, and a clock.
type world struct {
	authority, leaf *signer
	now             time.Time
	asked           map[string]int
	respond, list   func() (int, []byte)
}

func newWorld(t *testing.T) (*world, *Asker) {
	w := &world{now: noon(), asked: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked[r.URL.Path]++
		status, body := 404, []byte(nil)
		switch {
		case r.URL.Path == "/ocsp" && w.respond != nil:
			request, err := io.ReadAll(r.Body)
			if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/ocsp-request" {
				t.Errorf("%s %v %v", r.Method, r.Header, err)
			}
			if parsed, err := ocsp.ParseRequest(request); err != nil || parsed.SerialNumber.Int64() != 77 {
				t.Errorf("%v %v", parsed, err)
			}
			status, body = w.respond()
		case r.URL.Path == "/crl" && w.list != nil:
			status, body = w.list()
		case r.URL.Path == "/elsewhere":
			http.Redirect(rw, r, "https://127.0.0.1/crl", http.StatusFound)
			return
		}
		rw.WriteHeader(status)
		_, _ = rw.Write(body)
	}))
	t.Cleanup(server.Close)
	w.authority = issue(t, nil, ca)
	w.leaf = issue(t, w.authority, func(c *x509.Certificate) {
		c.OCSPServer, c.CRLDistributionPoints = []string{server.URL + "/ocsp"}, []string{"ldap://ignored", server.URL + "/crl"}
	})
	return w, &Asker{Dial: (&net.Dialer{}).DialContext, OCSP: true, List: true, Now: func() time.Time { return w.now }}
}

func (w *world) expect(t *testing.T, a *Asker, want Status, source Source, responder, lists int) {
	t.Helper()
	got, asked := a.Ask(t.Context(), w.leaf.Certificate, w.authority.Certificate)
	if !asked || got.Status != want || got.Source != source {
		t.Errorf("%s from %q (%v), want %s from %q", got.Status, got.Source, got.Err, want, source)
	}
	if w.asked["/ocsp"] != responder || w.asked["/crl"] != lists {
		t.Errorf("the responder was asked %d times and the list %d, want %d and %d", w.asked["/ocsp"], w.asked["/crl"], responder, lists)
	}
}

func TestAResponderIsAskedAgainWhenItsAnswerIsOutOfDate(t *testing.T) {
	w, a := newWorld(t)
	w.respond = func() (int, []byte) {
		return 200, answerOf(t, w.authority, w.authority, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = w.now, w.now.Add(4*hour) })
	}
	w.expect(t, a, Good, Responder, 1, 0)
	w.now = w.now.Add(3 * hour)
	w.expect(t, a, Good, Responder, 1, 0)
	w.now = w.now.Add(2 * hour)
	w.expect(t, a, Good, Responder, 2, 0)
	w.now = w.now.Add(5 * hour)
	w.respond = func() (int, []byte) {
		return 200, answerOf(t, w.authority, w.authority, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, w.now })
	}
	w.expect(t, a, Revoked, Responder, 3, 0)
}

func TestCouldNotAskIsUnknown(t *testing.T) {
	w, a := newWorld(t)
	a.List = false
	w.respond = func() (int, []byte) { return 500, nil }
	w.expect(t, a, Unknown, Responder, 1, 0)
	w.expect(t, a, Unknown, Responder, 1, 0) // and nobody is pestered
	w.now = w.now.Add(2 * hour)
	w.respond = func() (int, []byte) { return 200, make([]byte, maxResponse+1) }
	w.expect(t, a, Unknown, Responder, 2, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.now = w.now.Add(2 * hour)
	if got, _ := a.Ask(ctx, w.leaf.Certificate, w.authority.Certificate); got.Status != Unknown {
		t.Errorf("without time: %s", got.Status)
	}
	w.respond = func() (int, []byte) { return 200, answerOf(t, w.authority, w.authority, nil) }
	w.now = noon()
	a.answers = nil
	w.expect(t, a, Good, Responder, 3, 0)
}

func TestAListIsReadWhereNoResponderHasAnswered(t *testing.T) {
	w, a := newWorld(t)
	var entries []x509.RevocationListEntry
	by := w.authority
	w.list = func() (int, []byte) {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: w.now, NextUpdate: w.now.Add(24 * hour), RevokedCertificateEntries: entries}, by.Certificate, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return 200, der
	}
	// A serial number that only begins like ours is another one.
	entries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(77 << 8), RevocationTime: noon()}, {SerialNumber: big.NewInt(7), RevocationTime: noon()}}
	w.expect(t, a, Good, List, 1, 1)
	w.now = w.now.Add(12 * hour)
	w.expect(t, a, Good, List, 1, 1)
	w.now = w.now.Add(13 * hour)
	entries = append(entries, x509.RevocationListEntry{SerialNumber: big.NewInt(77), RevocationTime: noon()})
	w.expect(t, a, Revoked, List, 2, 2)

	w.now, a.answers, a.lists = noon(), nil, nil
	entries[2].ReasonCode = 8
	w.expect(t, a, Good, List, 3, 3) // it was taken from the list again

	w.now, a.answers, a.lists = noon(), nil, nil
	by = issue(t, nil, ca)
	w.expect(t, a, Unknown, List, 4, 4)

	a.answers = nil
	w.list = func() (int, []byte) { return 200, []byte("<html>") }
	w.expect(t, a, Unknown, List, 5, 5)
}

func TestWhoIsNotAsked(t *testing.T) {
	w, a := newWorld(t)
	for name, edit := range map[string]func(*x509.Certificate){
		"a certificate that names nobody": func(*x509.Certificate) {},
		"one that names only other protocols": func(c *x509.Certificate) {
			c.OCSPServer, c.CRLDistributionPoints = []string{"https://x/"}, []string{"ldap://x/", "file:///etc/passwd"}
		},
	} {
		if _, asked := a.Ask(t.Context(), issue(t, w.authority, edit).Certificate, w.authority.Certificate); asked {
			t.Errorf("%s: somebody was asked", name)
		}
	}
	a.OCSP, a.List = false, false
	if _, asked := a.Ask(t.Context(), w.leaf.Certificate, w.authority.Certificate); asked {
		t.Error("somebody was asked although nobody may be")
	}
	a.List = true
	server := w.leaf.CRLDistributionPoints[1]
	moved := issue(t, w.authority, func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{server[:len(server)-len("crl")] + "elsewhere"}
	})
	if got, _ := a.Ask(t.Context(), moved.Certificate, w.authority.Certificate); got.Status != Unknown || got.Err == nil {
		t.Errorf("a redirection to another protocol: %s", got.Status)
	}
}

// FuzzRead says that no response is good or revoked for a certificate unless its
// issuer has signed it: with a key that nobody has used, none is.
func FuzzRead(f *testing.F) {
	authority := issue(f, nil, ca)
	leaf := issue(f, authority, func(*x509.Certificate) {})
	stranger := issue(f, nil, ca)
	f.Add(answerOf(f, authority, authority, nil))
	f.Add(answerOf(f, stranger, stranger, nil))
	f.Add([]byte{0x30, 0x03, 0x0a, 0x01, 0x03})
	f.Fuzz(func(t *testing.T, raw []byte) {
		switch a := Read(Stapled, raw, leaf.Certificate, stranger.Certificate, noon()); a.Status {
		case Good, Revoked, Stale:
			if response, err := ocsp.ParseResponse(raw, nil); err != nil || response.CheckSignatureFrom(stranger.Certificate) != nil {
				t.Errorf("%s is believed", a.Status)
			}
		case Unknown, Unverified:
		default:
			t.Error(a.Status)
		}
	})
}

// FuzzList says that no list is believed that its issuer has not signed.
func FuzzList(f *testing.F) {
	authority := issue(f, nil, ca)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: noon(), NextUpdate: noon().Add(hour)}, authority.Certificate, authority.key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		if l, err := readList(der, issue(t, nil, ca).Certificate, noon()); err == nil {
			t.Error(fmt.Sprint("believed: ", l))
		}
	})
}
