package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostWithPorts is a host of which only the tables of sockets can be read.
func hostWithPorts(t *testing.T, ports ...string) testHost {
	t.Helper()
	h := newTestHost(t)
	tcp := "  sl  local_address\n"
	for i, port := range ports {
		tcp += "   0: 00000000:" + port + " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10" + string(rune('0'+i)) + " 1 0\n"
	}
	for name, text := range map[string]string{
		"/proc/modules": "", "/proc/sys/kernel/modprobe": "/sbin/modprobe\n", "/proc/net/protocols": "protocol  size sockets\n",
		"/proc/net/tcp": tcp, "/proc/net/udp": "  sl\n", "/proc/net/unix": "Num\n", "/proc/net/packet": "sk\n", "/proc/net/raw": "  sl\n",
	} {
		h.write(name, []byte(text))
	}
	return h
}

func TestWhatPortLearnPrintsIsAPolicy(t *testing.T) {
	h := hostWithPorts(t, "1F90", "1F91", "18EB")
	learned := execute(t, "port", "learn", "--path.rootfs="+h.root)
	if learned.Status != 0 {
		t.Fatalf("%+v", learned)
	}
	file := h.config(learned.Stdout)
	if got := execute(t, "config", "check", "--config.file="+file); got.Status != 0 {
		t.Errorf("it is refused: %+v\n%s", got, learned.Stdout)
	}
	got := execute(t, "check", "port", "--path.rootfs="+h.root, "--config.file="+file)
	if got.Status != 2 || !strings.Contains(got.Stdout, "port/dangerous  tcp/wildcard_v4:6379") || !strings.Contains(got.Stdout, "CRITICAL: 1 critical, 0 warning, 1 info, 0 unknown") {
		t.Errorf("with it, the host is judged: %+v", got)
	}
	off := execute(t, "port", "learn", "--path.rootfs="+h.root, "--config.file="+h.config("probes: {port: {enabled: false}}"))
	if off.Status != 3 || !strings.Contains(off.Stderr, "switched off") {
		t.Errorf("without the probe: %+v", off)
	}
}

func TestExplainTakesAPortInPieces(t *testing.T) {
	h := hostWithPorts(t, "1F90", "46A0")
	got := execute(t, "explain", "port", "tcp/8080", "--path.rootfs="+h.root)
	for _, want := range []string{"port  tcp/wildcard_v4:8080\n", "reached by   everybody, at every address of IPv4\n", "policy       there is none for it\n", "tcp 0.0.0.0:8080, opened by 0, as /proc/net shows it\n"} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("it lacks %q:\n%s%s", want, got.Stdout, got.Stderr)
		}
	}
	if got := execute(t, "explain", "port", "udp/8080", "--path.rootfs="+h.root); got.Status != 3 || !strings.Contains(got.Stderr, "no object contains") {
		t.Errorf("another protocol: %+v", got)
	}
}

func TestPieces(t *testing.T) {
	t.Parallel()
	objects := []string{"tcp/wildcard:8080@app.service", "tcp/loopback:18080", "udp/wildcard:8080", "red/tcp/wildcard:8080@web"}
	for part, want := range map[string][]string{
		"tcp/8080":     {objects[0], objects[3]},
		"red/8080":     {objects[3]},
		"8080@app":     {objects[0]},
		"18080":        {objects[1]},
		"8080/tcp":     nil, // in their order
		"808":          nil, // whole words
		"":             nil,
		"tcp [ 8080":   nil,
		"udp wildcard": {objects[2]},
	} {
		if diff := cmp.Diff(want, inPieces(objects, part)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", part, diff)
		}
	}
}
