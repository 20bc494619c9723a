//go:build bench

package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// idle is how long processes are watched at rest; HYGIENE_IDLE overrides it.
func idle(t *testing.T) time.Duration {
	text := os.Getenv("HYGIENE_IDLE")
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A program is a running exporter.
type program struct {
	t       *testing.T
	pid     int
	address string
}

// run starts an exporter; ADDRESS in its arguments becomes a free one.
func run(t *testing.T, path string, args ...string) program {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "ADDRESS", address)
	}
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p := program{t, cmd.Process.Pid, address}
	for end := time.Now().Add(20 * time.Second); ; {
		if _, err := p.scrape(); err == nil {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer", path)
		}
	}
}

// scrape fetches the metrics.
func (p program) scrape() (string, error) {
	response, err := http.Get("http://" + p.address + "/metrics")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// latencies scrapes many times and returns p50, p99 and the series of one.
func (p program) latencies(n int) (p50, p99 time.Duration, series int) {
	p.t.Helper()
	var took []time.Duration
	for range n {
		start := time.Now()
		body, err := p.scrape()
		if err != nil {
			p.t.Fatal(err)
		}
		took = append(took, time.Since(start))
		series = strings.Count(body, "\n") - strings.Count(body, "\n#")
	}
	slices.Sort(took)
	return took[n/2], took[n*99/100], series
}

// rss returns the resident memory in bytes, from /proc/pid/status.
func (p program) rss() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	return 0
}

// cpu returns the processor time used, from /proc/pid/stat, where a second has
// 100 ticks.
func (p program) cpu() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// value returns a sample of the last scrape.
func (p program) value(series string) float64 {
	p.t.Helper()
	body, err := p.scrape()
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// agent starts the agent on a configuration, with further flags.
func agent(t *testing.T, config string, flags ...string) program {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary, err := stack.AgentBinary(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, binary, append(flags, "--web.listen-address=ADDRESS", "--state.dir="+filepath.Join(dir, "state"), "--config.file="+path)...)
}

// nodeExporter starts the peer.
func nodeExporter(t *testing.T) program {
	t.Helper()
	path, err := exec.LookPath("prometheus-node-exporter")
	if err != nil {
		out, err := exec.Command("apt-get", "install", "-y", "--no-install-recommends", "prometheus-node-exporter").CombinedOutput()
		if err != nil {
			t.Fatalf("the peer cannot be installed: %v\n%s", err, out)
		}
		if path, err = exec.LookPath("prometheus-node-exporter"); err != nil {
			t.Fatal(err)
		}
	}
	return run(t, path, "--web.listen-address=ADDRESS")
}

func TestBenchScrapesBesideNodeExporter(t *testing.T) {
	ours, peer := agent(t, ""), nodeExporter(t)
	const scrapes = 500
	p50, p99, series := ours.latencies(scrapes)
	t.Logf("agent          %5d series  p50 %8s  p99 %8s", series, p50, p99)
	peer50, peer99, peerSeries := peer.latencies(scrapes)
	t.Logf("node_exporter  %5d series  p50 %8s  p99 %8s", peerSeries, peer50, peer99)
	t.Logf("ratio by scrape: p50 %.3f, p99 %.3f", p50.Seconds()/peer50.Seconds(), p99.Seconds()/peer99.Seconds())
}

func TestBenchIdleBesideNodeExporter(t *testing.T) {
	ours, peer := agent(t, ""), nodeExporter(t)
	for range 3 { // as a Prometheus that has been there for a while
		ours.scrape()
		peer.scrape()
	}
	oursBefore, peerBefore, start := ours.cpu(), peer.cpu(), time.Now()
	every := time.NewTicker(15 * time.Second) // a usual scrape interval
	defer every.Stop()
	for time.Since(start) < idle(t) {
		<-every.C
		ours.scrape()
		peer.scrape()
	}
	span := time.Since(start)
	report := func(name string, p program, used time.Duration) {
		t.Logf("%-14s %.3f %% of a core, %.1f MB resident, over %s with a scrape every 15 s",
			name, 100*used.Seconds()/span.Seconds(), float64(p.rss())/1e6, span.Round(time.Second))
	}
	report("agent", ours, ours.cpu()-oursBefore)
	report("node_exporter", peer, peer.cpu()-peerBefore)
}

// files is the number of certificates of a large host.
const files = 20_000

func TestBenchTwentyThousandCertificates(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir, files)
	benchScans(t, files, fmt.Sprintf("{name: many, paths: [%q]}", dir))
}

// stores is the number of keystores of a large host.
const stores = 5_000

// The stores are copies of those that OpenSSL and keytool have made for the tests
// of the probe.
func TestBenchFiveThousandStores(t *testing.T) {
	const made = "../../probes/certificate/testdata/stores"
	dir := t.TempDir()
	for i := range stores {
		name := []string{"web.p12", "legacy.pfx", "web.jks", "web.jceks", "modern.jks"}[i%5]
		data, err := os.ReadFile(filepath.Join(made, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, fmt.Sprintf("%03d", i/100), fmt.Sprintf("%d-%s", i, name)), data)
	}
	passwords := filepath.Join(t.TempDir(), "passwords")
	write(t, passwords, []byte("secret\n"))
	benchScans(t, stores, fmt.Sprintf("{name: many, paths: [%q], passwords_file: %q}", dir, passwords))
}

// benchScans reports what the first scans of one source cost, and a scrape.
func benchScans(t *testing.T, n int, source string) {
	t.Helper()
	p := agent(t, fmt.Sprintf(`

probes: {certificate: {interval: 20s, timeout: 15s, sources: [%s]}}
`, source))
	const took = `hygiene_probe_duration_seconds{name="certificate"}`
	ran := func() float64 { return p.value(`hygiene_probe_last_run_timestamp_seconds{name="certificate"}`) }
	await := func(after float64) float64 {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if at := ran(); at > after {
				return at
			}
		}
		t.Fatal("the probe does not run")
		return 0
	}
	at := await(0)
	t.Logf("first scan of %d: %.2f s, %.0f MB resident, %s of processor time", n, p.value(took), float64(p.rss())/1e6, p.cpu())
	for range 2 {
		before := p.cpu()
		at = await(at)
		t.Logf("unchanged rescan: %.0f ms, %.0f MB resident, %s of processor time with what follows", 1000*p.value(took), float64(p.rss())/1e6, p.cpu()-before)
	}
	p50, p99, series := p.latencies(30)
	t.Logf("scrape of %d series: p50 %s, p99 %s", series, p50, p99)
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificates writes the files of a renewal that works: each a leaf with
// names of its own and the certificate that issued it. They share a key.
func writeCertificates(t *testing.T, dir string, n int) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := func(template, issuer *x509.Certificate) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true}
	issuer := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true}
	chain := made(issuer, root)
	for i := range n {
		name := fmt.Sprintf("host%d.example.org", i)
		leaf := made(&x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 10)), Subject: pkix.Name{CommonName: name},
			DNSNames: []string{name, "www." + name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}, issuer)
		write(t, filepath.Join(dir, fmt.Sprintf("%03d", i/100), fmt.Sprintf("%d.pem", i)), append(leaf, chain...))
	}
}
