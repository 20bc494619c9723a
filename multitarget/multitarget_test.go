package multitarget_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/config"
	"hygiene_exporter/multitarget"
	"hygiene_exporter/probes/all"
	"hygiene_exporter/probes/certificate"
	"hygiene_exporter/probes/probetest"
)

// A network answers connections by address.
type network map[string]func() (net.Conn, error)

func (n network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	answer, known := n[address]
	if !known {
		return nil, fmt.Errorf("%s was asked, and nobody may", address)
	}
	if answer == nil { // as a packet filter does
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return answer()
}

func refuse() (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
}

// serve is a server with a certificate that signs itself.
func serve(t *testing.T) func() (net.Conn, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"www.example.org"}, NotBefore: time.Unix(1.7e9, 0), NotAfter: time.Unix(3e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return func() (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			session := tls.Server(server, config)
			_, _ = io.Copy(io.Discard, session)
			session.Close()
		}()
		return client, nil
	}
}

// ask returns what the handler answers to a request.
func ask(t *testing.T, yml string, n network, query string, header http.Header) (int, string) {
	t.Helper()
	return get(t, multitarget.New(func() *certificate.Remote { return remote(t, yml, n) }), query, header)
}

func remote(t *testing.T, yml string, n network) *certificate.Remote {
	t.Helper()
	c, err := config.Parse("test.yml", []byte(yml), all.Specs())
	if err != nil {
		t.Fatal(err)
	}
	host := (&probetest.World{Root: t.TempDir()}).Host()
	host.Dial = n.dial
	return c.Probes["certificate"].(*certificate.Config).Remote(host)
}

func get(t *testing.T, h http.Handler, query string, header http.Header) (int, string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/probe?"+query, nil)
	maps.Copy(request.Header, header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	return w.Code, w.Body.String()
}

const modules = `
owner: sre
probes:
  certificate:
    modules:
      - {name: default, targets: ["www.example.org:443", "*.example.net:1-1000", "192.0.2.0/24:*", "[2001:db8::1]:443"], dates_only: true}
      - {name: strict, targets: ["www.example.org:443"], ca_files: [/none.pem]}
      - {name: open, prober: tcp, targets: ["192.0.2.0/24:*"]}
      - {name: closed, prober: tcp, expect: closed, timeout: 20ms, targets: ["192.0.2.0/24:*"]}
`

func TestWhatMayBeAsked(t *testing.T) {
	n := network{}
	for _, address := range []string{"www.example.org:443", "WWW.example.org.:443", "a.b.example.net:25", "192.0.2.77:8443", "[2001:db8::1]:443", "[::ffff:192.0.2.7]:443"} {
		n[address] = refuse
	}
	for _, row := range []struct {
		name, query string
		status      int
		text        string
	}{
		{"a name of the list", "target=www.example.org:443", 200, "probe_success 0"},
		{"a name in another form", "target=WWW.example.org.:443", 200, "probe_success 0"},
		{"a name below a domain", "target=a.b.example.net:25&starttls=smtp", 200, "probe_success 0"},
		{"an address of a network", "target=192.0.2.77:8443", 200, "probe_success 0"},
		{"an address of IPv6", "target=[2001:db8::1]:443", 200, "probe_success 0"},
		{"an address in the form of IPv6", "target=[::ffff:192.0.2.7]:443", 200, "probe_success 0"},
		{"another name", "target=www.example.com:443", 403, "is in none of the targets"},
		{"a name that only ends like one", "target=evilexample.net:443", 403, "is in none of the targets"},
		{"the domain itself", "target=example.net:443", 403, "is in none of the targets"},
		{"another port", "target=www.example.org:22", 403, "is in none of the targets"},
		{"a port above the range", "target=a.example.net:1001", 403, "is in none of the targets"},
		{"another address", "target=198.51.100.1:443", 403, "is in none of the targets"},
		{"an address in numbers that some libraries read as one", "target=3221226061:443", 403, "is in none of the targets"},
		{"an address with a zone", "target=[fe80::1%25lo]:443", 403, "is in none of the targets"},
		{"the target of another module", "target=192.0.2.77:8443&module=strict", 403, "is in none of the targets"},
		{"a socket of this host", "target=unix:/run/x.sock", 403, "belongs to this host"},
		{"a module that does not exist", "target=www.example.org:443&module=none", 400, "there is no module"},
		{"no target", "module=default", 400, "target is missing"},
		{"a target without a port", "target=www.example.org", 400, "is not host:port"},
		{"a target that is a URL", "target=https://www.example.org/", 400, "is not host:port"},
		{"a dialogue that does not exist", "target=www.example.org:443&starttls=gopher", 400, "gopher"},
		{"a dialogue where nothing is said", "target=192.0.2.77:8443&module=open&starttls=smtp", 400, "says nothing"},
		{"a parameter that does not exist", "target=www.example.org:443&hostname=x", 400, "there is no parameter"},
		{"a parameter that is there twice", "target=www.example.org:443&target=192.0.2.1:1", 400, "2 times"},
		{"a query that cannot be read", "target=%zz", 400, "invalid URL escape"},
		{"no truth", "target=www.example.org:443&debug=maybe", 400, "true or false"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if status, text := ask(t, modules, n, row.query, nil); status != row.status || !strings.Contains(text, row.text) {
				t.Errorf("status %d:\n%s\nwant %d with %q", status, text, row.status, row.text)
			}
		})
	}
	if status, text := ask(t, "", n, "target=www.example.org:443", nil); status != 404 || !strings.Contains(text, "no probes.certificate.modules") {
		t.Errorf("without modules: %d %s", status, text)
	}
}

func TestWhatIsAnswered(t *testing.T) {
	n := network{"www.example.org:443": serve(t), "192.0.2.1:80": serve(t), "192.0.2.2:80": refuse, "192.0.2.3:80": nil}
	n["192.0.2.4:80"] = func() (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH} }
	for _, row := range []struct {
		name, query string
		want        []string
	}{
		{
			"what a server shows", "target=www.example.org:443",
			[]string{"probe_success 1", `hygiene_certificate_not_after_timestamp_seconds{object="www.example.org:443",owner="sre",slot="leaf"} 3e+09`},
		},
		{
			"the name that is asked for is part of the object", "target=www.example.org:443&server_name=other.example.org",
			[]string{`{object="www.example.org:443/other.example.org",owner="sre",slot="leaf"}`},
		},
		{"what a person reads", "target=www.example.org:443&debug=true", []string{"allows the target www.example.org:443", "  TLS          1.3", "Facts:", "probe_success 1"}},
		{"authorities that are missing", "target=www.example.org:443&module=strict&debug=true", []string{"It was not asked: the authorities: ", "probe_success 0"}},
		{"a port that is open", "target=192.0.2.1:80&module=open", []string{`hygiene_certificate_reach{object="192.0.2.1:80",owner="sre",state="open"} 1`, "probe_success 1"}},
		{"a port that is closed and should not be", "target=192.0.2.2:80&module=open", []string{`hygiene_certificate_reach{object="192.0.2.2:80",owner="sre",state="refused"} 1`, "probe_success 0"}},
		{"a port that is closed, as it should be", "target=192.0.2.2:80&module=closed", []string{`hygiene_certificate_reach_expected{object="192.0.2.2:80",owner="sre"} 1`, "probe_success 1"}},
		{"a port that does not answer, as it should be", "target=192.0.2.3:80&module=closed", []string{`state="filtered"} 1`, "probe_success 1"}},
		{"a port that is open and should not be", "target=192.0.2.1:80&module=closed&debug=true", []string{"The port is open. It should be closed.", "probe_success 0"}},
		{"a question that cannot be put proves nothing", "target=192.0.2.4:80&module=closed", []string{`state="unanswered"} 1`, "probe_success 0"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, text := ask(t, modules, n, row.query, nil)
			if status != 200 {
				t.Errorf("status %d", status)
			}
			for _, want := range row.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing from:\n%s", want, text)
				}
			}
			if strings.Contains(row.query, "debug") {
				return
			}
			if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
				t.Errorf("%v %v", problems, err)
			}
			read := expfmt.NewTextParser(model.LegacyValidation)
			if _, err := read.TextToMetricFamilies(strings.NewReader(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// An answer comes before the scrape is given up, and says what took so long.
func TestAScrapeIsAnsweredBeforeItEnds(t *testing.T) {
	begin := time.Now()
	status, text := ask(t, modules, network{"www.example.org:443": nil}, "target=www.example.org:443", http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"0.6"}})
	if took := time.Since(begin); status != 200 || !strings.Contains(text, `reason="timeout",stage="connect"`) || took > 5*time.Second {
		t.Errorf("%d after %s\n%s", status, took, text)
	}
}

func TestTooManyQuestionsAreRefused(t *testing.T) {
	hold, asked := make(chan struct{}), make(chan struct{}, 1000)
	n := network{"www.example.org:443": func() (net.Conn, error) {
		asked <- struct{}{}
		<-hold
		return refuse()
	}}
	r := remote(t, modules, n)
	h := multitarget.New(func() *certificate.Remote { return r })
	done := make(chan int, 64)
	for range 64 {
		go func() {
			status, _ := get(t, h, "target=www.example.org:443", nil)
			done <- status
		}()
		<-asked
	}
	if status, text := get(t, h, "target=www.example.org:443", nil); status != 503 {
		t.Errorf("the 65th question at a time: %d %s", status, text)
	}
	close(hold)
	for range 64 {
		if status := <-done; status != 200 {
			t.Errorf("one of the first: %d", status)
		}
	}
	refused := false
	for range 2000 {
		status, _ := get(t, h, "target=www.example.org:443", nil)
		refused = refused || status == 503
	}
	if !refused {
		t.Error("nothing bounds the questions of a second")
	}
}

// What the documentation shows is in force: the configuration loads, and the
// rules are rules over facts that exist.
func TestTheExamplesOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/multi-target.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]string{}
	for _, block := range strings.Split(string(text), "```yaml\n# ")[1:] {
		name, rest, _ := strings.Cut(block, "\n")
		examples[name], _, _ = strings.Cut(rest, "```")
	}
	if r := remote(t, examples["hygiene_exporter.yml"], nil); r == nil {
		t.Error("the configuration has no modules")
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(examples["rules.yml"]), &rules); err != nil || len(rules.Groups) == 0 {
		t.Fatal(err, rules)
	}
	known := map[string]bool{}
	for _, m := range certificate.AnswerMetrics() {
		known[m.Name] = true
	}
	for _, rule := range rules.Groups[0].Rules {
		expr, err := parser.ParseExpr(rule.Expr)
		if err != nil {
			t.Errorf("%s: %v", rule.Alert, err)
			continue
		}
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if s, ok := node.(*parser.VectorSelector); ok && !known[s.Name] {
				t.Errorf("%s: there is no fact %s", rule.Alert, s.Name)
			}
			return nil
		})
	}
	if !strings.Contains(examples["prometheus.yml"], "metrics_path: /probe") {
		t.Error("the configuration of Prometheus is missing")
	}
}
