//go:build live

package certificate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/certificate/bundle"
)

// openssl asks the reference for dates, serial number and fingerprint.
func openssl(t *testing.T, path string) (serial, fingerprint string, begin, end time.Time) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", "x509", "-in", path, "-noout", "-serial", "-fingerprint", "-sha256", "-startdate", "-enddate").CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, out)
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch strings.ToLower(key) {
		case "serial":
			serial = strings.TrimLeft(strings.ToLower(value), "0")
		case "sha256 fingerprint":
			fingerprint = strings.ToLower(strings.ReplaceAll(value, ":", ""))
		case "notbefore":
			begin = date(t, value)
		case "notafter":
			end = date(t, value)
		}
	}
	return serial, fingerprint, begin, end
}

func date(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("Jan _2 15:04:05 2006 MST", text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// Every certificate of this host, and odd ones made by OpenSSL, read as OpenSSL
// reads them.
func TestLiveCertificatesReadAsOpenSSLReadsThem(t *testing.T) {
	paths, err := filepath.Glob("/etc/ssl/certs/*.pem")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"rsa.pem":       {"-newkey", "rsa:2048", "-days", "30"},
		"negative.pem":  {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30", "-set_serial", "-5"},
		"zero.pem":      {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30", "-set_serial", "0"},
		"long.pem":      {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30", "-set_serial", "0x7fffffffffffffffffffffffffffffffffffffffffffff"},
		"far.pem":       {"-newkey", "ed25519", "-days", "900000"},
		"brainpool.pem": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1", "-days", "30"},
		"sha1.pem":      {"-newkey", "rsa:1024", "-sha1", "-days", "30"},
	} {
		path := filepath.Join(dir, name)
		args = append([]string{"req", "-x509", "-nodes", "-keyout", path + ".key", "-out", path, "-subj", "/O=Odd/CN=" + name}, args...)
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		paths = append(paths, path)
	}
	if len(paths) < 100 {
		t.Fatalf("only %d certificates; install ca-certificates", len(paths))
	}
	odd := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Parse(data)
		if err != nil || len(b.Certificates) != 1 {
			t.Errorf("%s: %d certificates, %v %v", path, len(b.Certificates), err, b.Errors)
			continue
		}
		c := b.Certificates[0]
		if c.Nonconforming != nil {
			odd++
		}
		serial, fingerprint, begin, end := openssl(t, path)
		if strings.Replace(c.Serial, "-0", "-", 1) != strings.Replace(serial, "-0", "-", 1) && (c.Serial != "0" || serial != "") ||
			c.Fingerprint != fingerprint || !c.NotBefore.Equal(begin) || !c.NotAfter.Equal(end) {
			t.Errorf("%s: got %s %s %s %s, OpenSSL says %s %s %s %s", path,
				c.Serial, c.Fingerprint, c.NotBefore, c.NotAfter, serial, fingerprint, begin, end)
		}
	}
	if odd == 0 {
		t.Error("no certificate was nonconforming: the odd ones prove nothing")
	}
	t.Logf("%d certificates, %d of them nonconforming", len(paths), odd)
}

// The files of a real file system that was unmounted are unavailable, and not
// removed.
func TestLiveAVanishedMountIsNoRemoval(t *testing.T) {
	r := newRig(t, "/s")
	mount := r.real("/s/volume")
	r.do(os.MkdirAll(mount, 0o755), unix.Mount("tmpfs", mount, "tmpfs", 0, "size=1m"))
	mounted := true
	unmount := func() {
		if mounted {
			r.do(unix.Unmount(mount, 0))
			mounted = false
		}
	}
	defer unmount()
	r.write("/s/volume/a.pem", text(t, "a"))
	r.write("/s/b.pem", text(t, "b"))
	r.expect("/s/b.pem leaf=b", "/s/volume/a.pem leaf=a")
	unmount()
	r.expect("/s/b.pem leaf=b", "/s/volume/a.pem fault unavailable")
	r.restart()
	r.expect("/s/b.pem leaf=b", "/s/volume/a.pem fault unavailable")
	r.do(unix.Mount("tmpfs", mount, "tmpfs", 0, "size=1m"))
	mounted = true
	r.expect("/s/b.pem leaf=b", "/s/volume/a.pem gone")
}
