package certificate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// An authority issues certificates.
type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

var serials = func() func() *big.Int {
	var n int64
	return func() *big.Int { n++; return big.NewInt(n) }
}()

func (a *authority) issue(t testing.TB, edit func(*x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serials(), Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"server.test"},
		NotBefore: time.Now().Add(-10 * day).Truncate(time.Second), NotAfter: time.Now().Add(80 * day).Truncate(time.Second),
	}
	if edit != nil {
		edit(template)
	}
	parent, parentKey := template, key
	if a != nil {
		parent, parentKey = a.Certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{made, key}
}

func newAuthority(t testing.TB, name string) *authority {
	var none *authority
	return none.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = name, nil
		c.IsCA, c.BasicConstraintsValid, c.NotAfter = true, true, time.Now().Add(3650*day)
	})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Raw})
}

// serving is the configuration of a server with this certificate.
func (a *authority) serving() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{a.Raw}, PrivateKey: a.key}}}
}

// A network holds servers by address. One without a configuration says nothing.
type network struct {
	mu      sync.Mutex
	servers map[string]*tls.Config
}

func (n *network) set(address string, config *tls.Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.servers == nil {
		n.servers = map[string]*tls.Config{}
	}
	n.servers[address] = config
}

func (n *network) down(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.servers, address)
}

func (n *network) dial(_ context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	config, known := n.servers[address]
	n.mu.Unlock()
	if !known {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		if config != nil {
			session := tls.Server(server, config)
			if session.Handshake() != nil {
				return
			}
			server = session
		}
		_, _ = io.Copy(io.Discard, server)
	}()
	return named{client, address}, nil
}

// named is a connection that knows its address.
type named struct {
	net.Conn
	address string
}

func (n named) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(strings.Replace(n.address, "server.test", "192.0.2.1", 1)))
}

// A netRig is a rig with a network and an authority that its host trusts.
type netRig struct {
	*rig
	network network
	ca      *authority
}

func newNetRig(t *testing.T, endpoints ...Endpoint) *netRig {
	r := &netRig{rig: newRig(t, "/s"), ca: newAuthority(t, "ca")}
	r.write("/s/file.pem", text(t, "file"))
	r.write("/etc/ssl/certs/ca-certificates.crt", r.ca.pem())
	r.config.Endpoints = endpoints
	r.restart()
	return r
}

func (r *netRig) restart() {
	r.t.Helper()
	if err := r.config.Validate(); err != nil {
		r.t.Fatal(err)
	}
	host := r.world.Host()
	host.Dial = r.network.dial
	r.probe = newProbe(r.config, host)
}

// again makes every endpoint due.
func (r *netRig) again() { r.config.Handshakes.Interval = 1 }

// see runs the probe and returns what it says of one object, without instants
// other than those of certificates.
func (r *netRig) see(object string) []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return seen(result, object)
}

func seen(result probes.Result, object string) []string {
	lines := []string{}
	for _, s := range result.Samples {
		name := strings.TrimPrefix(s.Metric.Name, "hygiene_certificate_")
		if s.Object() != object || s.Metric == info || strings.HasPrefix(name, "renewal") || s.Metric == notBefore || s.Metric == lastSeen {
			continue
		}
		var labels []string
		for i, label := range s.Metric.Labels {
			if label != probes.LabelObject && label != "cipher" && s.Labels[i] != "" {
				labels = append(labels, s.Labels[i])
			}
		}
		value := fmt.Sprint(s.Value)
		if name, ok := strings.CutSuffix(name, "_timestamp_seconds"); ok {
			value = fmt.Sprintf("%s in %d days", name, int((time.Until(time.Unix(int64(s.Value), 0))+time.Minute)/day))
			lines = append(lines, strings.Join(append(labels, value), " "))
			continue
		}
		lines = append(lines, strings.Join(append(append([]string{name}, labels...), value), " "))
	}
	for _, f := range result.Faults {
		if f.Object == object {
			lines = append(lines, "fault "+string(f.Reason))
		}
	}
	if slices.Contains(result.Removed, object) {
		lines = append(lines, "gone")
	}
	slices.Sort(lines)
	return lines
}

func (r *netRig) want(object string, want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, r.see(object)); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", object, diff)
	}
}

const web = "server.test:443"

func TestEndpointsTellTheirDatesWhateverTheVerdict(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web})
	foreign := newAuthority(t, "other ca")
	for _, row := range []struct {
		name   string
		issuer *authority
		edit   func(*x509.Certificate)
		want   []string
	}{
		{"a healthy certificate", r.ca, nil, []string{"leaf not_after in 80 days", "verified 1", "trusted_until in 80 days"}},
		{
			"an expired certificate", r.ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-5 * day) },
			[]string{"leaf not_after in -4 days", "verified 0", "endpoint_failure verify expired 1"},
		},
		{
			"a certificate for another host", r.ca, func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} },
			[]string{"leaf not_after in 80 days", "verified 0", "endpoint_failure verify wrong_name 1"},
		},
		{
			"an expired certificate for another host of an authority that is not known", foreign,
			func(c *x509.Certificate) { c.DNSNames, c.NotAfter = []string{"other.test"}, time.Now().Add(-5*day) },
			[]string{"leaf not_after in -4 days", "verified 0", "endpoint_failure verify expired 1", "endpoint_failure verify wrong_name 1", "endpoint_failure verify incomplete_chain 1"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			r.network.set(web, row.issuer.issue(t, row.edit).serving())
			r.restart()
			r.t = t
			r.want(web, append(row.want, "stale 0", "tls_info 1.3 1")...)
		})
	}
}

func TestACertificateThatNoClientNeedsHasNoDeadlines(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web})
	spare := newAuthority(t, "old ca").issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-5 * day) })
	config := r.ca.issue(t, nil).serving()
	config.Certificates[0].Certificate = append(config.Certificates[0].Certificate, spare.Raw)
	r.network.set(web, config)
	result, err := r.probe.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"leaf not_after in 80 days", "spare1 not_after in -4 days", "stale 0", "tls_info 1.3 1", "trusted_until in 80 days", "verified 1"}
	if diff := cmp.Diff(want, seen(result, web)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range result.Samples {
		if s.Metric == overdue && s.Object() == web && s.Label("slot") != "leaf" {
			t.Errorf("%s has deadlines", s.Label("slot"))
		}
	}
}

func TestWhoWantsOnlyDatesGetsNoVerdict(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web, Client: Client{DatesOnly: true}})
	var none *authority
	r.network.set(web, none.issue(t, nil).serving())
	r.want(web, "leaf not_after in 80 days", "stale 0", "tls_info 1.3 1")
}

func TestDatesSurviveAnOutageAndARestart(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web})
	r.again()
	good := []string{"leaf not_after in 80 days", "verified 1", "trusted_until in 80 days", "stale 0", "tls_info 1.3 1"}
	out := []string{"leaf not_after in 80 days", "stale 1", "endpoint_failure connect network 1", "fault network"}
	r.network.set(web, r.ca.issue(t, nil).serving())
	r.want(web, good...)
	r.network.down(web)
	r.want(web, out...)
	r.restart()
	r.want(web, out...)
	r.network.set(web, r.ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(200 * day) }).serving())
	r.want(web, "leaf not_after in 200 days", "verified 1", "trusted_until in 200 days", "stale 0", "tls_info 1.3 1")
	r.config.Endpoints = nil
	r.restart()
	r.want(web, "gone")
}

func TestAnEndpointThatWasNeverSeenHasNoDates(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web})
	r.want(web, "stale 1", "endpoint_failure connect network 1", "fault network")
	r.config.Endpoints = nil
	r.restart()
	r.want(web, "gone")
}

func TestOneEndpointHidesNoOther(t *testing.T) {
	const broken, private = "broken.test:443", "192.0.2.9:443"
	r := newNetRig(t,
		Endpoint{Target: broken, Client: Client{CAFiles: []string{"/etc/none.pem"}}},
		Endpoint{Target: web},
		Endpoint{Target: private, Client: Client{CAFiles: []string{"/etc/own.pem"}, ServerName: "server.test"}},
	)
	own := newAuthority(t, "own ca")
	r.write("/etc/own.pem", own.pem())
	r.network.set(web, r.ca.issue(t, nil).serving())
	r.network.set(private, own.issue(t, nil).serving())
	result, err := r.probe.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	good := []string{"leaf not_after in 80 days", "stale 0", "tls_info 1.3 1", "trusted_until in 80 days", "verified 1"}
	for object, want := range map[string][]string{
		broken:                   {"fault not_found", "stale 1"},
		web:                      good,
		private + "/server.test": good,
	} {
		if diff := cmp.Diff(want, seen(result, object)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", object, diff)
		}
	}
}

func TestAHostThatTrustsNobodyJudgesNobody(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web})
	r.network.set(web, r.ca.issue(t, nil).serving())
	r.remove("/etc/ssl/certs/ca-certificates.crt")
	r.want(web, "leaf not_after in 80 days", "stale 0", "tls_info 1.3 1", "fault not_found")
}

func TestEveryAddressOfAName(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web, Addresses: "all"})
	r.probe.servers.watch.Pool.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.3")}, nil
	}
	r.network.set("192.0.2.1:443", r.ca.issue(t, nil).serving())
	r.network.set("[2001:db8::1]:443", r.ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(20 * day) }).serving())
	r.want(web,
		"leaf not_after in 20 days", "trusted_until in 20 days", "stale 0",
		"tls_info 192.0.2.1:443 1.3 1", "verified 192.0.2.1:443 1",
		"tls_info [2001:db8::1]:443 1.3 1", "verified [2001:db8::1]:443 1",
		"endpoint_failure 192.0.2.3:443 connect network 1", "fault network")
}

// A server that says nothing costs its own timeout, and nobody waits for it for
// longer than the run has time for.
func TestASlowServerDelaysNothing(t *testing.T) {
	r := newNetRig(t, Endpoint{Target: web}, Endpoint{Target: "192.0.2.2:443", Client: Client{ServerName: "server.test"}})
	synctest.Test(t, func(t *testing.T) {
		r.config.Handshakes.Timeout = probes.Duration(40 * time.Second)
		r.restart()
		r.network.set(web, nil)
		r.network.set("192.0.2.2:443", r.ca.issue(t, nil).serving())
		run := func() (probes.Result, time.Duration) {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
			defer cancel()
			result, err := r.probe.Run(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return result, time.Since(begin)
		}
		result, took := run()
		if took != 25*time.Second {
			t.Errorf("the first run took %s", took)
		}
		if diff := cmp.Diff([]string{"fault not_run", "stale 1"}, seen(result, web)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := seen(result, "/s/file.pem"); !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, "leaf not_after") }) {
			t.Errorf("the file is hidden: %q", got)
		}
		if got := seen(result, "192.0.2.2:443/server.test"); len(got) == 0 || strings.HasPrefix(got[0], "fault") {
			t.Errorf("the fast server is hidden: %q", got)
		}
		time.Sleep(time.Minute)
		result, took = run()
		if diff := cmp.Diff([]string{"endpoint_failure handshake timeout 1", "fault timeout", "stale 1"}, seen(result, web)); diff != "" || took != 0 {
			t.Errorf("after %s (-want +got):\n%s", took, diff)
		}
	})
}

func TestDatesAreRememberedAsText(t *testing.T) {
	d := dates{{"leaf", time.Unix(-5, 0).UTC(), time.Unix(10, 0).UTC()}, {"chain1", time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC()}}
	if diff := cmp.Diff(d, parseDates(d.String()), cmp.AllowUnexported(validity{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "leaf", "leaf x y", "leaf 1 ", "\x00"} {
		if got := parseDates(text); got != nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
