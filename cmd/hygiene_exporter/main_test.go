package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
)

// outcome is what a command leaves behind.
type outcome struct {
	Status int
	Stdout string
	Stderr string
}

func execute(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, &stdout, &stderr)
	return outcome{status, stdout.String(), stderr.String()}
}

// host is a directory that stands for a host with certificates.
type testHost struct {
	t    *testing.T
	root string
}

func newTestHost(t *testing.T) testHost {
	t.Helper()
	return testHost{t, t.TempDir()}
}

func (h testHost) write(path string, data []byte) {
	h.t.Helper()
	full := filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(full, data, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// certificate writes a certificate with this much of its year left, and its
// key beside it, and returns its PEM.
func (h testHost) certificate(path string, left time.Duration) []byte {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	end := time.Now().Add(left)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "shop.example.org"},
		NotBefore: end.Add(-365 * 24 * time.Hour), NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	h.write(path, text)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(path+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return text
}

func (h testHost) config(text string) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

const day = 24 * time.Hour

func TestCheckTellsTheWorstByItsExitStatus(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h testHost)
		status  int
		verdict string
	}{
		"a healthy certificate is ok": {
			func(h testHost) { h.certificate("/etc/nginx/a.pem", 200*day) },
			0, "OK: 0 critical, 0 warning, 0 info, 0 unknown",
		},
		"an overdue renewal is a warning": {
			func(h testHost) { h.certificate("/etc/nginx/a.pem", 60*day) },
			1, "WARNING: 0 critical, 1 warning, 0 info, 0 unknown",
		},
		"an expired certificate is critical": {
			func(h testHost) { h.certificate("/etc/nginx/a.pem", -day) },
			2, "CRITICAL: 2 critical, 1 warning, 0 info, 0 unknown",
		},
		"what cannot be read is unknown, which is worse than a warning": {
			func(h testHost) {
				h.certificate("/etc/nginx/a.pem", 60*day)
				h.write("/etc/nginx/b.pem", []byte("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n"))
			},
			3, "UNKNOWN: 0 critical, 1 warning, 0 info, 1 unknown",
		},
		"but not worse than something critical": {
			func(h testHost) {
				h.certificate("/etc/nginx/a.pem", -day)
				h.write("/etc/nginx/b.pem", []byte("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n"))
			},
			2, "CRITICAL: 2 critical, 1 warning, 0 info, 1 unknown",
		},
		"a host without anything is ok": {func(testHost) {}, 0, "OK: 0 critical, 0 warning, 0 info, 0 unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHost(t)
			c.prepare(h)
			got := execute(t, "check", "--path.rootfs="+h.root)
			if got.Status != c.status || !strings.Contains(got.Stdout, c.verdict) {
				t.Errorf("status %d, want %d with %q:\n%s%s", got.Status, c.status, c.verdict, got.Stdout, got.Stderr)
			}
		})
	}
}

// TestOnlyFullReadsABackup: without it a backup that was cut off is not known to be
// bad, and with it the way to the reason is told.
func TestOnlyFullReadsABackup(t *testing.T) {
	h := newTestHost(t)
	h.write("/b/a.sql.gz", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"))
	common := []string{"--path.rootfs=" + h.root, "--config.file=" + h.config("probes: {backup: {jobs: [{name: shop, kind: files, paths: [/b/*.gz], settle: 1ms}]}}\n")}
	run := func(args ...string) outcome { return execute(t, append(args, common...)...) }
	if got := run("check", "backup"); got.Status == 2 || strings.Contains(got.Stdout, "backup/bad") {
		t.Errorf("status %d without a look at the backup:\n%s%s", got.Status, got.Stdout, got.Stderr)
	}
	if got := run("check", "--full", "backup"); got.Status != 2 || !strings.Contains(got.Stdout, "backup/bad") || !strings.Contains(got.Stdout, "explain tells with --full") {
		t.Errorf("status %d:\n%s%s", got.Status, got.Stdout, got.Stderr)
	}
	if got := run("explain", "--full", "backup", "shop"); !strings.Contains(got.Stdout, "bad: truncated") {
		t.Errorf("why it is bad:\n%s%s", got.Stdout, got.Stderr)
	}
}

func TestCheckPrintsForProgramsToo(t *testing.T) {
	h := newTestHost(t)
	h.certificate("/etc/nginx/a.pem", 60*day)

	nagios := execute(t, "check", "--path.rootfs="+h.root, "--output=nagios")
	const want = "HYGIENE WARNING: 0 critical, 1 warning, 0 info, 0 unknown | critical=0;;0 warning=1;0 unknown=0\n" +
		"WARNING Certificate /etc/nginx/a.pem was not renewed in time\n"
	if nagios.Stdout != want {
		t.Errorf("nagios: got %q, want %q", nagios.Stdout, want)
	}

	var answer struct {
		Status   int
		Findings []struct{ Probe, Check, Object, Severity, Summary, Description, Impact, Action string }
		Unknown  []any
		Probes   map[string]string
	}
	if err := json.Unmarshal([]byte(execute(t, "check", "--path.rootfs="+h.root, "--output=json").Stdout), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != 1 || len(answer.Findings) != 1 || answer.Unknown == nil || answer.Probes["certificate"] != "succeeded" {
		t.Fatalf("json: %+v", answer)
	}
	if f := answer.Findings[0]; f.Check != "renewal_overdue" || f.Description == "" || f.Impact == "" || f.Action == "" {
		t.Errorf("json: %+v", f)
	}

	if prom := execute(t, "check", "--path.rootfs="+h.root, "--output=prom"); !strings.Contains(prom.Stdout,
		`hygiene_certificate_not_after_timestamp_seconds{object="/etc/nginx/a.pem",slot="leaf"}`) {
		t.Errorf("prom:\n%s", prom.Stdout)
	}
}

func TestExplainTakesAnyUniquePartOfAnObject(t *testing.T) {
	h := newTestHost(t)
	h.certificate("/etc/nginx/shop.pem", 60*day)
	h.certificate("/etc/nginx/mail.pem", 200*day)
	explain := func(args ...string) outcome {
		return execute(t, append([]string{"explain", "--path.rootfs=" + h.root}, args...)...)
	}
	got := explain("certificate", "shop")
	for _, want := range []string{"/etc/nginx/shop.pem", "shop.example.org", "serial", "1267", "overdue", "WARNING renewal_overdue", "hygiene_certificate_not_after_timestamp_seconds"} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("it lacks %q:\n%s", want, got.Stdout)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"an ambiguous part":  {[]string{"certificate", "nginx"}, "2 objects contain \"nginx\":\n  /etc/nginx/mail.pem\n  /etc/nginx/shop.pem"},
		"an unknown object":  {[]string{"certificate", "nothing"}, `no object contains "nothing"`},
		"an unknown probe":   {[]string{"certificates", "x"}, `there is no probe of this name: "certificates"; there are backup, certificate`},
		"no probe whatever":  {nil, "required argument 'probe' not provided"},
		"an unknown command": {[]string{"a", "b", "c", "d"}, "unexpected c"},
	} {
		got := explain(c.args...)
		if got.Status != 3 || !strings.Contains(got.Stderr, c.want) {
			t.Errorf("%s: status %d, %s", name, got.Status, got.Stderr)
		}
	}
}

// The packages of a package manager are no objects, and can be asked for.
func TestExplainKnowsPackages(t *testing.T) {
	h := newTestHost(t)
	const lists = "/var/lib/apt/lists/a.example_dists_s-security_"
	for name, text := range map[string]string{
		"/var/lib/dpkg/status":               "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
		"/etc/apt/sources.list":              "deb http://a.example s-security main\n",
		lists + "Release":                    "Suite: s-security\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n",
		lists + "main_binary-amd64_Packages": "Package: openssl\nArchitecture: amd64\nVersion: 2\n",
	} {
		path := filepath.Join(h.root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	got := execute(t, "explain", "--path.rootfs="+h.root, "patch", "openssl")
	for _, want := range []string{
		"installed    1\n", "candidate    2\n", "class        security, unrated\n", "at the latest since 2026-07-11 10:16:37 UTC",
		"a.example/s-security main", "hygiene_patch_pending_info{package=\"openssl\"",
	} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("it lacks %q:\n%s%s", want, got.Stdout, got.Stderr)
		}
	}
	if got := execute(t, "explain", "--path.rootfs="+h.root, "patch"); strings.Contains(got.Stdout, "openssl") {
		t.Errorf("packages are listed as objects:\n%s", got.Stdout)
	}
}

func TestConfigCheckSaysEverythingThatIsWrong(t *testing.T) {
	h := newTestHost(t)
	got := execute(t, "config", "check", "--config.file="+h.config("ownr: a\nprobes: {certificate: {interval: soon}}\n"))
	if got.Status != 3 || strings.Count(got.Stderr, "config.yml:") != 2 {
		t.Errorf("status %d:\n%s", got.Status, got.Stderr)
	}
	for name, c := range map[string][2]string{
		"a rule file that is missing":   {"alerts: {rules: [/none/a.yml]}", "alerts.rules[0]: there is no file /none/a.yml"},
		"an alert that does not exist":  {"alerts: {disable: [Nothing]}", `alerts.disable: no rule is called "Nothing"`},
		"a program that nobody runs":    {"commands: {nothing: [/bin/true]}", "commands.nothing: no probe runs a program of this name"},
		"a path that is not absolute":   {"probes: {certificate: {sources: [{name: a, paths: [b]}]}}", `probes.certificate.sources[0].paths[0]: "b" is not an absolute path`},
		"a source without anything":     {"probes: {certificate: {sources: [{}]}}", "probes.certificate.sources[0].name: is missing"},
		"a margin that is none":         {"probes: {certificate: {sources: [{name: a, paths: [/a], renew: {due: 200%}}]}}", `"200%" is not a share between 0% and 100%`},
		"critical earlier than overdue": {"probes: {certificate: {sources: [{name: a, paths: [/a], renew: {critical: 30%}}]}}", "renew.critical: 30% is earlier than overdue, which is 25%"},
	} {
		got := execute(t, "config", "check", "--config.file="+h.config(c[0]))
		if got.Status != 3 || !strings.Contains(got.Stderr, c[1]) {
			t.Errorf("%s: status %d, want %q:\n%s", name, got.Status, c[1], got.Stderr)
		}
	}
	if got := execute(t, "config", "check"); got.Status != 0 {
		t.Errorf("the defaults: %+v", got)
	}
	if got := execute(t, "config", "check", "--config.file="+h.config(execute(t, "config", "show").Stdout)); got.Status != 0 {
		t.Errorf("what is shown is refused: %+v", got)
	}
	if got := execute(t, "config", "check", "--config.file="+h.config(execute(t, "config", "example").Stdout)); got.Status != 0 {
		t.Errorf("the example is refused: %+v", got)
	}
}

func TestARuleOfTheSiteReplacesABuiltInOne(t *testing.T) {
	h := newTestHost(t)
	h.certificate("/etc/nginx/a.pem", 60*day)
	rules := filepath.Join(t.TempDir(), "site.yml")
	err := os.WriteFile(rules, []byte(`
groups:
- name: site
  rules:
  - alert: HygieneCertificateRenewalOverdue
    expr: min without (slot) (hygiene_certificate_renewal_overdue_timestamp_seconds <= time())
    labels: {probe: certificate, check: renewal_overdue, severity: info}
    annotations: {summary: mine, description: d, impact: i, action: a}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	got := execute(t, "check", "--path.rootfs="+h.root, "--config.file="+h.config("alerts: {rules: ["+rules+"]}"))
	if got.Status != 0 || !strings.Contains(got.Stdout, "1 info") {
		t.Errorf("%+v", got)
	}
}

func TestWithoutAnAgentTheCommandsSaySo(t *testing.T) {
	for _, args := range [][]string{{"problems"}, {"ack", "x", "--for=1h"}, {"unack", "x"}, {"problem", "test"}, {"baseline", "show"}, {"baseline", "accept", "x"}, {"drill", "list"}, {"drill", "record", "x", "--result=passed"}} {
		got := execute(t, append(args, "--state.dir="+t.TempDir())...)
		if got.Status != 3 || !strings.Contains(got.Stderr, "no agent is listening") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// running is an agent in this process.
type running struct {
	address string
	log     *lockedBuffer
	stop    func() int
}

// lockedBuffer is a buffer that may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var listening = regexp.MustCompile(`msg=listening .*status_page=http://([^/]+)/`)

// serve starts an agent, and ends it with the test.
func serve(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{log: &lockedBuffer{}}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"--web.listen-address=127.0.0.1:0"}, args...), io.Discard, r.log)
	}()
	var once sync.Once
	status := 0
	r.stop = func() int {
		once.Do(func() { cancel(); status = <-done })
		return status
	}
	t.Cleanup(func() { r.stop() })
	r.eventually(t, "the agent listens", func() bool {
		if match := listening.FindStringSubmatch(r.log.String()); match != nil {
			r.address = match[1]
		}
		return r.address != ""
	})
	return r
}

func (r *running) eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("it does not come true that %s; the log is\n%s", what, r.log)
		case <-tick.C:
		}
	}
}

func (r *running) fetch(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Get("http://" + r.address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// stateDir is a directory whose path is short enough for a socket.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestServeProblemsAckAndRestart(t *testing.T) {
	h, state := newTestHost(t), stateDir(t)
	h.certificate("/etc/nginx/a.pem", 60*day)
	config := h.config("escalation: {startup_grace: 0s}\n")
	flags := []string{"--path.rootfs=" + h.root, "--state.dir=" + state, "--config.file=" + config}
	agent := serve(t, flags...)
	agent.eventually(t, "the problem is open", func() bool {
		return strings.Contains(agent.fetch(t, "/metrics"), "hygiene_problem_since_timestamp_seconds{")
	})
	if got := execute(t, append([]string{"serve"}, flags...)...); got.Status != 3 || !strings.Contains(got.Stderr, "two agents must not share a state directory") {
		t.Errorf("a second agent: %+v", got)
	}
	got := execute(t, "ack", "certificate/renewal_overdue//etc/nginx/a.pem", "--for=1h", "--by=kim", "--state.dir="+state)
	if got.Status != 0 || !strings.Contains(got.Stdout, "taken by kim") {
		t.Fatalf("ack: %+v", got)
	}
	before := execute(t, "problems", "--output=json", "--state.dir="+state).Stdout
	if status := agent.stop(); status != 0 {
		t.Errorf("the agent ended with status %d:\n%s", status, agent.log)
	}

	agent = serve(t, flags...)
	if metrics := agent.fetch(t, "/metrics"); !strings.Contains(metrics, `acked_by="kim"`) {
		t.Errorf("the first scrape after a restart lacks the problem:\n%s", metrics)
	}
	agent.eventually(t, "the problem is seen again", func() bool {
		return !strings.Contains(agent.fetch(t, "/metrics"), "held=")
	})
	if diff := cmp.Diff(before, execute(t, "problems", "--output=json", "--state.dir="+state).Stdout); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	got = execute(t, "unack", "certificate/renewal_overdue//etc/nginx/a.pem", "--by=kim", "--state.dir="+state)
	if got.Status != 0 || strings.Contains(got.Stdout, "taken") {
		t.Errorf("unack: %+v", got)
	}
	if page := agent.fetch(t, "/"); !strings.Contains(page, "/etc/nginx/a.pem") || !strings.Contains(page, "Only this host can scrape") {
		t.Errorf("the status page is\n%s", page)
	}
}

func TestReloadKeepsTheRunningConfigurationIfTheNewOneIsWrong(t *testing.T) {
	h, state := newTestHost(t), stateDir(t)
	h.certificate("/srv/a.pem", 200*day)
	h.certificate("/srv/b.pem", 200*day)
	config := h.config("probes: {certificate: {sources: [{name: x, paths: [/srv/a.pem]}]}}")
	agent := serve(t, "--path.rootfs="+h.root, "--state.dir="+state, "--config.file="+config)
	has := func(text string) func() bool {
		return func() bool { return strings.Contains(agent.fetch(t, "/metrics"), text) }
	}
	agent.eventually(t, "the first certificate is known", has(`object="/srv/a.pem"`))
	hangup := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup("probes: {certificate: {sources: [{name: x, pathes: [/srv/b.pem]}]}}")
	agent.eventually(t, "the reload is refused", has("hygiene_config_last_reload_successful 0"))
	if !has(`object="/srv/a.pem"`)() || !strings.Contains(agent.log.String(), "pathes") {
		t.Errorf("the refused configuration did harm, or was not named:\n%s", agent.log)
	}
	hangup("probes: {certificate: {sources: [{name: x, paths: [/srv/b.pem]}]}}")
	agent.eventually(t, "the second certificate is known", has(`object="/srv/b.pem"`))
	agent.eventually(t, "the reload succeeded", has("hygiene_config_last_reload_successful 1"))
}

func TestTLSAndPasswordsGuardEveryPage(t *testing.T) {
	h, state := newTestHost(t), stateDir(t)
	ca := h.certificate("/web.pem", 200*day)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	web := h.config(fmt.Sprintf(`
tls_server_config: {cert_file: %s, key_file: %[1]s.key}
basic_auth_users: {prometheus: %q}
`, filepath.Join(h.root, "web.pem"), hash))
	agent := serve(t, "--path.rootfs="+h.root, "--state.dir="+state, "--web.config.file="+web)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	for _, path := range []string{"/", "/metrics", "/api/v1/facts", "/-/healthy", "/runbooks/"} {
		request, err := http.NewRequest(http.MethodGet, "https://"+agent.address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{http.StatusUnauthorized, http.StatusOK} {
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s: status %d, want %d", path, response.StatusCode, want)
			}
			request.SetBasicAuth("prometheus", "secret")
		}
	}
	if _, err := http.Get("http://" + agent.address + "/metrics"); err == nil {
		if response, _ := http.Get("http://" + agent.address + "/metrics"); response.StatusCode == http.StatusOK {
			t.Error("plain HTTP is answered")
		}
	}
}
