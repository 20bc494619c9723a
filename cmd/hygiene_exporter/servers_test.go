package main

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// showing serves a certificate of a host on a free port until the test ends.
func (h testHost) showing(path string) (port int) {
	h.t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(h.root, path), filepath.Join(h.root, path+".key"))
	if err != nil {
		h.t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// What servers really show becomes what the rules say of it.
func TestCheckJudgesWhatServersShow(t *testing.T) {
	for name, row := range map[string]struct {
		left       time.Duration
		serverName string
		want       []string // severity and check
	}{
		"a certificate of nobody who is known": {200 * day, "", []string{"WARNING   certificate/endpoint_incomplete_chain"}},
		"one for another name":                 {200 * day, "other.example.org", []string{"CRITICAL  certificate/endpoint_wrong_name", "WARNING   certificate/endpoint_incomplete_chain"}},
		"one that was not renewed":             {60 * day, "", []string{"WARNING   certificate/endpoint_incomplete_chain", "WARNING   certificate/renewal_overdue"}},
		"one that has expired": {-day, "", []string{
			"CRITICAL  certificate/expired", "CRITICAL  certificate/renewal_overdue", "WARNING   certificate/endpoint_incomplete_chain", "WARNING   certificate/renewal_overdue",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHost(t)
			h.certificate("/srv/served.pem", row.left)
			h.certificate("/srv/trusted.pem", day)
			target := fmt.Sprintf("127.0.0.1:%d", h.showing("/srv/served.pem"))
			object := target
			if row.serverName != "" {
				object += "/" + row.serverName
			}
			config := h.config(fmt.Sprintf("probes: {certificate: {endpoints: [{target: %q, server_name: %q, ca_files: [/srv/trusted.pem]}]}}", target, row.serverName))
			got := execute(t, "check", "certificate", "--config.file="+config, "--path.rootfs="+h.root)
			var found []string
			for line := range strings.Lines(got.Stdout) {
				if line = strings.TrimSpace(line); strings.HasSuffix(line, "  "+object) {
					found = append(found, strings.TrimSuffix(line, "  "+object))
				}
			}
			if diff := cmp.Diff(row.want, found); diff != "" {
				t.Errorf("status %d (-want +got):\n%s\n%s%s", got.Status, diff, got.Stdout, got.Stderr)
			}
		})
	}
}

// A listener of a host goes on with the certificate that its file held before.
func TestCheckNoticesACertificateThatIsNotServed(t *testing.T) {
	h := newTestHost(t)
	h.certificate("/srv/web.pem", 100*day)
	port := h.showing("/srv/web.pem")
	h.write("/proc/net/protocols", []byte("protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em\nTCP       2304      1       0   no     320   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y\n"))
	h.write("/proc/net/tcp", fmt.Appendf(nil, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1000 1 0000000000000000 100 0 0 10 0\n", port))
	config := h.config(fmt.Sprintf("probes: {certificate: {sources: [{name: web, paths: [/srv/web.pem]}], listeners: {ports: [\"%d\"]}}}", port))
	look := func(want string) {
		t.Helper()
		got := execute(t, "check", "certificate", "--config.file="+config, "--path.rootfs="+h.root)
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("%q is missing from:\n%s%s", want, got.Stdout, got.Stderr)
		}
	}
	look("OK: 0 critical, 0 warning, 0 info, 0 unknown")
	h.certificate("/srv/web.pem", 300*day)
	look("WARNING   certificate/served_outdated  /srv/web.pem")
	data, err := os.ReadFile(filepath.Join(h.root, "/srv/web.pem"))
	if block, _ := pem.Decode(data); err != nil || block == nil {
		t.Fatal(err)
	}
	h.write("/srv/web.pem", []byte("nothing"))
	look("UNKNOWN")
}
