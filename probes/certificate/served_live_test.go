//go:build live

package certificate

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/host"
)

// Every server goes on with what it has read, or reads its file again: both are
// seen as OpenSSL sees them, and a restart ends the problem.
func TestLiveARenewedCertificateThatIsNotServed(t *testing.T) {
	p := newLivePKI(t)
	kept := 0
	for _, d := range daemons() {
		t.Run(d.name, func(t *testing.T) {
			s := d.place(t)
			d.prepare(s)
			first, chain, key := p.issue(t, variant{edit: older(60)})
			s.install(chain, key)
			s.start()
			look := lookAt(t, s)
			for name, state := range look() {
				if state != "0" {
					t.Errorf("%s at first: %s\n%s", name, state, s.log())
				}
			}
			second, chain, key := p.issue(t, variant{edit: older(1)})
			s.install(chain, key)
			for name, state := range look() {
				sent, _ := askOpenSSL(t, p, s.address(name), d.ports[name])
				want := map[bool]string{true: "1", false: "0"}[bytes.Equal(sent[0].Raw, first.Raw)]
				// The processes of Postfix come and go, and each keeps what it has read.
				if state != want && d.name != "postfix" {
					t.Errorf("%s after the renewal: %s, want %s", name, state, want)
				}
				if want == "1" {
					kept++
				}
			}
			s.stop()
			s.start()
			for name, state := range look() {
				sent, _ := askOpenSSL(t, p, s.address(name), d.ports[name])
				if state != "0" || !bytes.Equal(sent[0].Raw, second.Raw) {
					t.Errorf("%s after a restart: %s", name, state)
				}
			}
			s.stop()
		})
	}
	if kept < 10 {
		t.Errorf("only %d listeners served an old certificate; the test proves little", kept)
	}
	t.Logf("%d listeners served an old certificate", kept)
}

// lookAt returns a function that runs the probe on this host, and says for each
// TCP listener of a site whether it serves what was replaced: 1, 0, or why that
// is not known.
func lookAt(t *testing.T, s *site) func() map[string]string {
	t.Helper()
	h, err := host.New(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := defaultConfig()
	c.Sources = []Source{{Name: "site", Paths: []string{s.cert()}}}
	c.Listeners.Max = 1000
	for name, starttls := range s.ports {
		c.Listeners.Ports = append(c.Listeners.Ports, strings.TrimSuffix(fmt.Sprintf("%d/%s", s.port[name], starttls), "/"))
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	probe := newProbe(c, h.For("certificate"))
	return func() map[string]string {
		result, err := probe.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]string{}
		for name := range s.ports {
			if name != s.unix {
				states[name] = stateOf(result, s.cert(), fmt.Sprintf("127.0.0.1:%d", s.port[name]))
			}
		}
		return states
	}
}

func stateOf(result probes.Result, file, address string) string {
	for _, sample := range result.Samples {
		listener, _, _ := strings.Cut(sample.Label("listener"), "/")
		if sample.Metric == servedOutdated && sample.Object() == file && listener == address {
			return fmt.Sprint(sample.Value)
		}
	}
	for _, f := range result.Faults {
		if strings.HasPrefix(f.Object, listenerPrefix+address) {
			return f.Err.Error()
		}
	}
	return "not seen"
}
