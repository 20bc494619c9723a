package certificate

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/endpoint"
	"hygiene_exporter/probes/internal/listeners"
)

// listening writes the table of TCP sockets of a host that listens on these
// ports of 0.0.0.0.
func (r *netRig) listening(ports ...int) {
	r.t.Helper()
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for n, port := range ports {
		table += fmt.Sprintf("%4d: 00000000:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %d 1 0000000000000000 100 0 0 10 0\n", n, port, 1000+n)
	}
	r.write("/proc/net/tcp", []byte(table))
}

func newListenerRig(t *testing.T) *netRig {
	r := newNetRig(t)
	r.remove("/s/file.pem")
	r.config.Listeners.Enabled = true
	r.restart()
	return r
}

// told runs the probe and returns what it says of listeners: what is served in
// place of which file, which are unmonitored, and how many there are.
func (r *netRig) told() []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	lines := []string{}
	for _, s := range result.Samples {
		switch {
		case s.Metric == servedOutdated:
			lines = append(lines, fmt.Sprintf("%s instead of %s: %v", s.Label("listener"), s.Object(), s.Value))
		case s.Metric == listenerUnmonitored && s.Value == 1:
			lines = append(lines, s.Object()+" unmonitored")
		case s.Metric == listenerCounts && s.Value > 0:
			lines = append(lines, fmt.Sprintf("%v %s", s.Value, s.Label("state")))
		case s.Metric == notAfter && strings.HasPrefix(s.Object(), listenerPrefix):
			lines = append(lines, s.Object()+" has dates")
		}
	}
	for _, f := range result.Faults {
		lines = append(lines, fmt.Sprintf("%s fault %s", f.Object, f.Reason))
	}
	for _, object := range result.Removed {
		lines = append(lines, object+" gone")
	}
	slices.Sort(lines)
	return lines
}

func (r *netRig) tells(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, r.told()); diff != "" {
		r.t.Errorf("(-want +got):\n%s", diff)
	}
}

func older(days int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.NotBefore = time.Now().Add(-time.Duration(days) * day)
		c.NotAfter = c.NotBefore.Add(90 * day)
	}
}

func TestACertificateThatWasRenewedAndIsNotServed(t *testing.T) {
	r := newListenerRig(t)
	r.listening(443, 22)
	old, renewed := r.ca.issue(t, older(60)), r.ca.issue(t, older(1))
	r.network.set("127.0.0.1:443", old.serving())
	r.write("/s/web.pem", old.pem())
	good := []string{"0.0.0.0:443 instead of /s/web.pem: 0", "1 matched", "1 skipped"}
	r.tells(good...)

	r.write("/s/web.pem", renewed.pem())
	out := []string{"0.0.0.0:443 instead of /s/web.pem: 1", "1 skipped", "listener/0.0.0.0:443 has dates"}
	r.tells(append(out, "1 outdated")...)

	// An outage or a restart is no reload.
	r.network.down("127.0.0.1:443")
	down := append(out, "1 unreachable", "listener/0.0.0.0:443 fault network")
	r.tells(down...)
	r.restart()
	r.tells(down...)

	// The server is reloaded, and this is noticed in the next run.
	r.network.set("127.0.0.1:443", old.serving())
	r.tells(append(out, "1 outdated")...)
	r.network.set("127.0.0.1:443", renewed.serving())
	r.tells(good...)

	// Nobody listens any more.
	r.listening(22)
	r.tells("1 skipped", "listener/0.0.0.0:443 gone")
}

// A web server has many sites on one port, each with its own certificate.
func TestACertificateThatIsServedForOneOfManyNames(t *testing.T) {
	r := newListenerRig(t)
	r.listening(443)
	site := func(name string, days int) *authority {
		return r.ca.issue(t, func(c *x509.Certificate) { older(days)(c); c.DNSNames = []string{name} })
	}
	a, b, renewed := site("a.test", 60), site("b.test", 60), site("b.test", 1)
	serve := func(certificates ...*authority) {
		config := certificates[0].serving()
		for _, c := range certificates[1:] {
			config.Certificates = append(config.Certificates, c.serving().Certificates...)
		}
		r.network.set("127.0.0.1:443", config)
	}
	serve(a, b)
	r.write("/s/a.pem", a.pem())
	r.write("/s/b.pem", b.pem())
	r.write("/s/c.pem", site("c.test", 5).pem()) // which nobody serves
	good := []string{"0.0.0.0:443 instead of /s/a.pem: 0", "0.0.0.0:443/b.test instead of /s/b.pem: 0", "1 matched"}
	r.tells(good...)

	r.write("/s/b.pem", renewed.pem())
	out := []string{
		"0.0.0.0:443 instead of /s/a.pem: 0", "0.0.0.0:443/b.test instead of /s/b.pem: 1", "1 outdated",
		"listener/0.0.0.0:443/b.test has dates",
	}
	r.tells(out...)
	r.network.down("127.0.0.1:443")
	r.restart()
	r.tells("0.0.0.0:443/b.test instead of /s/b.pem: 1", "1 unreachable", "listener/0.0.0.0:443 fault network",
		"listener/0.0.0.0:443/b.test has dates", "listener/0.0.0.0:443/b.test fault unavailable")
	serve(a, b)
	r.tells(out...)
	serve(a, renewed)
	r.tells(good...)
	serve(a)
	r.restart()
	r.tells("0.0.0.0:443 instead of /s/a.pem: 0", "1 matched", "listener/0.0.0.0:443/b.test gone")
}

func TestListenersThatServeWhatIsInNoFile(t *testing.T) {
	r := newListenerRig(t)
	r.listening(443, 8443, 993, 5432)
	r.network.set("127.0.0.1:443", r.ca.issue(t, nil).serving())
	r.network.set("127.0.0.1:993", nil) // says nothing
	r.config.Handshakes.Timeout = 1e7
	r.restart()
	r.write("/s/other.pem", text(t, "other"))
	r.tells("listener/0.0.0.0:443 unmonitored", "listener/0.0.0.0:443 has dates", "1 unmonitored", "3 unreachable")
}

func TestListenersThatCannotBeFound(t *testing.T) {
	r := newListenerRig(t)
	r.listening(443)
	r.network.set("127.0.0.1:443", r.ca.issue(t, nil).serving())
	r.tells("listener/0.0.0.0:443 unmonitored", "listener/0.0.0.0:443 has dates", "1 unmonitored")
	r.remove("/proc/net/tcp")
	r.tells("listener/0.0.0.0:443 has dates", "listener/0.0.0.0:443 fault not_found", "listeners fault not_found")
	r.config.Listeners.Enabled = false
	r.restart()
	r.tells("listener/0.0.0.0:443 gone")
}

func TestServedAgainstDisk(t *testing.T) {
	at := func(days int) time.Time { return begin.Add(time.Duration(days) * day) }
	of := func(fingerprint, key string, from int, names ...string) bundle.Certificate {
		slices.Sort(names)
		sans := bundle.SANs{Names: names, NameCount: len(names), NamesHash: strings.Join(names, " ")}
		return bundle.Certificate{Fingerprint: fingerprint, Key: key, NotBefore: at(from), NotAfter: at(from + 90), SANs: sans}
	}
	file := func(object, fingerprint, key string, from int, names ...string) lying {
		c := of(fingerprint, key, from, names...)
		return lying{&c, &part{object: object}}
	}
	old := of("old", "rsa-2048", 0, "a.test", "b.test")
	for _, row := range []struct {
		name   string
		served bundle.Certificate
		files  []lying
		want   served
		file   string
	}{
		{"it is in a file", old, []lying{file("/a", "old", "rsa-2048", 0)}, matched, "/a"},
		{"it is in a file, and one for another kind of key is newer", old, []lying{file("/a", "old", "rsa-2048", 0, "a.test", "b.test"), file("/b", "new", "ecdsa-P-256", 9, "a.test", "b.test")}, matched, "/a"},
		{"a newer one has the same names", old, []lying{file("/a", "new", "rsa-2048", 9, "b.test", "a.test")}, outdated, "/a"},
		{"a newer one has more names", old, []lying{file("/a", "new", "rsa-2048", 9, "a.test", "b.test", "c.test")}, outdated, "/a"},
		{"a newer one has fewer names", old, []lying{file("/a", "new", "rsa-2048", 9, "a.test")}, unmonitored, ""},
		{"an older one has the same names", old, []lying{file("/a", "new", "rsa-2048", -9, "a.test", "b.test")}, unmonitored, ""},
		{"of several newer ones the newest counts", old, []lying{file("/a", "x", "rsa-2048", 5, "a.test", "b.test"), file("/b", "y", "rsa-2048", 9, "a.test", "b.test")}, outdated, "/b"},
		{"of copies the first counts", old, []lying{file("/a", "x", "rsa-2048", 5, "a.test", "b.test"), file("/b", "x", "rsa-2048", 5, "a.test", "b.test")}, outdated, "/a"},
		{"one of the same kind of key is more likely meant", old, []lying{file("/a", "x", "rsa-4096", 5, "a.test", "b.test"), file("/b", "y", "ecdsa-P-256", 9, "a.test", "b.test")}, outdated, "/a"},
		{"there are no files", old, nil, unmonitored, ""},
	} {
		got, l := inventory(row.files).disk().judge(row.served)
		object := ""
		if l.part != nil {
			object = l.part.object
		}
		if got != row.want || object != row.file {
			t.Errorf("%s: %s %q, want %s %q", row.name, got, object, row.want, row.file)
		}
	}
}

func TestWhichListenersAreInspected(t *testing.T) {
	tcp := func(address string, port uint32, only bool) listeners.Listener {
		return listeners.Listener{Protocol: listeners.TCP, Address: netip.MustParseAddr(address), Port: port, V6Only: only, Exact: true}
	}
	l := defaultListeners()
	l.Ports = []string{"9000-9001", "2525/smtp", "443/imap"}
	l.Exclude = []string{"8443"}
	l.Max = 8
	chosen, skipped := l.choose([]listeners.Listener{
		tcp("0.0.0.0", 443, false), tcp("0.0.0.0", 443, false), tcp("::", 25, false), tcp("::", 636, true), tcp("::1", 993, false), tcp("192.0.2.1", 9001, false),
		tcp("0.0.0.0", 8443, false), tcp("0.0.0.0", 22, false), tcp("127.0.0.1", 2525, false), tcp("127.0.0.1", 9002, false),
		tcp("127.0.0.1", 5432, false), tcp("127.0.0.1", 3306, false), tcp("127.0.0.1", 993, false),
	}, time.Second)
	var got []string
	for _, c := range chosen {
		got = append(got, fmt.Sprintf("%s by %s %s", c.name, c.target.Address, c.target.StartTLS))
	}
	want := []string{
		"0.0.0.0:443 by 127.0.0.1:443 imap", "127.0.0.1:2525 by 127.0.0.1:2525 smtp", "127.0.0.1:3306 by 127.0.0.1:3306 mysql",
		"127.0.0.1:5432 by 127.0.0.1:5432 postgres", "127.0.0.1:993 by 127.0.0.1:993 ", "192.0.2.1:9001 by 192.0.2.1:9001 ",
		"[::1]:993 by [::1]:993 ", "[::]:25 by 127.0.0.1:25 smtp",
	}
	if diff := cmp.Diff(want, got); diff != "" || skipped != 4 {
		t.Errorf("skipped %d (-want +got):\n%s", skipped, diff)
	}
	for _, text := range []string{"", "0", "65536", "9-8", "443/gopher", "-5", "a"} {
		if _, err := parsePorts(text); err == nil {
			t.Errorf("%q is taken for ports", text)
		}
	}
	for port, starttls := range usualPorts() {
		if starttls != "" && !slices.Contains(endpoint.Protocols(), starttls) {
			t.Errorf("port %d has the dialogue %q", port, starttls)
		}
	}
}
