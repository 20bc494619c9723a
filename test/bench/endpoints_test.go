//go:build bench

package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// endpoints is how many servers are inspected.
const endpoints = 1000

// TestBenchAThousandEndpoints inspects as many addresses of one nginx: as
// endpoints of the agent, over its /probe, and over that of the blackbox
// exporter.
func TestBenchAThousandEndpoints(t *testing.T) {
	dir := t.TempDir()
	targets := serve(t, dir)

	yml := "limits: {series: 100000}\nprobes:\n  certificate:\n    interval: 1h\n    sources: []\n    listeners: {enabled: false}\n    handshakes: {concurrency: 16, per_second: 1000}\n" +
		"    modules: [{name: default, dates_only: true, targets: [\"127.0.0.0/8:*\"]}]\n    endpoints:\n"
	for _, target := range targets {
		yml += fmt.Sprintf("      - {target: %q, dates_only: true}\n", target)
	}
	look(t, dir, yml)
	ours := agent(t, yml[:strings.Index(yml, "    endpoints:")])

	path, err := exec.LookPath("prometheus-blackbox-exporter")
	if err != nil {
		t.Fatalf("%v; run test/packages.sh", err)
	}
	modules := filepath.Join(dir, "blackbox.yml")
	if err := os.WriteFile(modules, []byte("modules:\n  tls:\n    prober: tcp\n    timeout: 10s\n    tcp: {tls: true, tls_config: {insecure_skip_verify: true}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	peer := run(t, path, "--web.listen-address=ADDRESS", "--config.file="+modules)
	mine := ours.probe(targets, "default")
	theirs := peer.probe(targets, "tls")
	t.Logf("over /probe, 16 at a time: %s; blackbox exporter: %s; ratio of CPU %.2f, of wall time %.2f", mine, theirs,
		mine.cpu.Seconds()/theirs.cpu.Seconds(), mine.wall.Seconds()/theirs.wall.Seconds())
}

// look inspects all endpoints once, as the agent does in a run.
func look(t *testing.T, dir, yml string) {
	t.Helper()
	binary, err := stack.AgentBinary(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "endpoints.yml")
	if err := os.WriteFile(path, []byte(yml), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(binary, "--config.file="+path, "check", "certificate", "--output=prom")
	cmd.Stdout = &out
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peak := program{t: t, pid: cmd.Process.Pid}.watchSockets(func() { err = cmd.Wait() })
	wall := time.Since(begin)
	if n := strings.Count(out.String(), "\nhygiene_certificate_endpoint_last_seen_timestamp_seconds{"); err != nil || n != endpoints {
		t.Fatalf("%d endpoints were seen, %v", n, err)
	}
	state := cmd.ProcessState
	t.Logf("%d endpoints in one run: %s wall, %s CPU, %d sockets at most", endpoints, wall.Round(time.Millisecond), state.UserTime()+state.SystemTime(), peak)
}

// serve starts nginx on all addresses of the loopback, and returns as many of
// them as are inspected.
func serve(t *testing.T, dir string) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	key := filepath.Join(dir, "nginx.key")
	cert := filepath.Join(dir, "nginx.crt")
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=bench", "-days", "90").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config := fmt.Sprintf(`pid %[1]s/pid; error_log stderr; daemon off; worker_processes 1; events { worker_connections 4096; }
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen 0.0.0.0:%[2]d ssl backlog=2048; ssl_certificate %[3]s; ssl_certificate_key %[4]s; } }`, dir, port, cert, key)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/nginx", "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	for range 100 {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	var targets []string
	for n := range endpoints {
		targets = append(targets, fmt.Sprintf("127.1.%d.%d:%d", n/250, n%250+1, port))
	}
	return targets
}

// sockets counts the open sockets of a program.
func (p program) sockets() (n int64) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		return 0
	}
	for _, entry := range entries {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.pid, entry.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// watchSockets returns the most sockets that were open while something ran.
func (p program) watchSockets(do func()) int64 {
	var peak atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				peak.Store(max(peak.Load(), p.sockets()))
			}
		}
	}()
	do()
	close(stop)
	<-done
	return peak.Load()
}

// A cost is what some questions have cost.
type cost struct {
	wall, cpu time.Duration
	peak      int64
}

func (c cost) String() string {
	return fmt.Sprintf("%s wall, %s CPU, %d sockets at most", c.wall.Round(time.Millisecond), c.cpu, c.peak)
}

// probe asks for every target, 16 at a time.
func (p program) probe(targets []string, module string) cost {
	p.t.Helper()
	begin, used := time.Now(), p.cpu()
	var failed atomic.Int64
	peak := p.watchSockets(func() {
		var wg sync.WaitGroup
		waiting := make(chan string)
		for range 16 {
			wg.Go(func() {
				for target := range waiting {
					for !p.ask(target, module) {
						if failed.Add(1) > 10000 {
							return
						}
						time.Sleep(20 * time.Millisecond) // asked too fast
					}
				}
			})
		}
		for _, target := range targets {
			waiting <- target
		}
		close(waiting)
		wg.Wait()
	})
	return cost{time.Since(begin), p.cpu() - used, peak}
}

// ask reports whether a question was answered, and with success.
func (p program) ask(target, module string) bool {
	response, err := http.Get("http://" + p.address + "/probe?" + url.Values{"target": {target}, "module": {module}}.Encode())
	if err != nil {
		return false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return false
	}
	if !strings.Contains(string(body), "\nprobe_success 1") {
		p.t.Errorf("%s:\n%s", target, body)
	}
	return true
}
