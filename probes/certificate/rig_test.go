package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/probetest"
)

// rig is a probe on a host that is a directory.
type rig struct {
	t      *testing.T
	root   string
	world  *probetest.World
	config *Config
	probe  *probe
}

// newRig returns a probe with one source of these paths.
func newRig(t *testing.T, paths ...string) *rig {
	t.Helper()
	c := defaultConfig()
	c.Sources = []Source{{Name: "test", Paths: paths}}
	c.Listeners.Enabled = false
	root, err := os.MkdirTemp("", "rig") // which others may enter, unlike t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	r := &rig{t: t, root: root, world: &probetest.World{Root: root}, config: c}
	r.do(os.Chmod(root, 0o755))
	r.restart()
	return r
}

// restart makes a new probe on the same state, as a restart or a reload does.
func (r *rig) restart() {
	r.t.Helper()
	if err := r.config.Validate(); err != nil {
		r.t.Fatal(err)
	}
	r.probe = newProbe(r.config, r.world.Host())
}

func (r *rig) real(path string) string { return filepath.Join(r.root, path) }

func (r *rig) write(path string, data []byte) {
	r.t.Helper()
	r.do(os.MkdirAll(filepath.Dir(r.real(path)), 0o755), os.WriteFile(r.real(path), data, 0o644))
}

func (r *rig) link(target, path string) {
	r.t.Helper()
	r.do(os.MkdirAll(filepath.Dir(r.real(path)), 0o755), os.Symlink(target, r.real(path)))
}

func (r *rig) remove(path string) {
	r.t.Helper()
	r.do(os.RemoveAll(r.real(path)))
}

func (r *rig) do(errs ...error) {
	r.t.Helper()
	for _, err := range errs {
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// run runs the probe and returns the result in short lines: for each object its
// slots with the common names, its fault with the reason, or that it is gone.
func (r *rig) run() []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	lines := []string{}
	for _, s := range result.Samples {
		switch s.Metric {
		case info:
			lines = append(lines, fmt.Sprintf("%s %s=%s", s.Object(), s.Label("slot"), s.Label("subject_cn")))
		case trustStore:
			lines = append(lines, fmt.Sprintf("%s %s=%v", s.Object(), s.Label("state"), s.Value))
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

func (r *rig) expect(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), r.run()); diff != "" {
		r.t.Errorf("(-want +got):\n%s", diff)
	}
}

var testKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

var (
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = begin.Add(90 * day)
)

// der returns a certificate; a name that begins with "ca" makes a CA.
func der(t testing.TB, name string) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: begin, NotAfter: end,
		BasicConstraintsValid: true, IsCA: strings.HasPrefix(name, "ca"),
	}
	out, err := x509.CreateCertificate(rand.Reader, template, template, testKey.Public(), testKey)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// text returns certificates as PEM.
func text(t testing.TB, names ...string) []byte {
	t.Helper()
	var out []byte
	for _, name := range names {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der(t, name)})...)
	}
	return out
}

// settle makes the changes of a file old enough to be believed, which waiting
// would do too.
func (r *rig) settle() {
	for _, f := range r.probe.files {
		f.trusted = true
	}
}

// unprivileged runs a function without the rights of root over files.
func unprivileged(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The goroutine keeps the thread locked, so that the thread dies with it.
		runtime.LockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		do()
	}()
	<-done
}
