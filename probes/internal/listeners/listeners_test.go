package listeners_test

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/probetest"
)

const recording = "testdata/namespace"

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(recording, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// refuse is a kernel that answers nothing.
type refuse struct{ err error }

func (r refuse) Dump(context.Context, probes.NetlinkRequest, func(probes.NetlinkMessage) error) error {
	return r.err
}

func list(t *testing.T, root string, kernel probes.Netlink) (all []listeners.Listener) {
	t.Helper()
	view := listeners.New(rootfs.New(rootfs.Paths{Root: root}), kernel).Own()
	defer view.Close()
	for _, protocol := range listeners.Protocols() {
		found, err := view.List(t.Context(), protocol)
		if err != nil && !errors.Is(err, listeners.ErrAbsent) && !errors.Is(err, listeners.ErrBlind) {
			t.Errorf("%s: %v", protocol, err)
		}
		all = append(all, found...)
	}
	return all
}

// One recording of a namespace, read three ways: our reading of the kernel's
// dumps, our reading of its tables, and what ss said of the same sockets.
func TestRecordedDumpsAndTablesAreWhatSSSaid(t *testing.T) {
	t.Parallel()
	tape, err := probetest.ParseTape(read(t, "netlink"))
	if err != nil {
		t.Fatal(err)
	}
	asked := list(t, recording, tape)
	tables := list(t, recording, refuse{fs.ErrNotExist})
	groups := map[string]uint64{}
	for _, l := range asked {
		if l.Cgroup > 0 {
			groups["/hygiene-test.slice/recorded.service"] = l.Cgroup
		}
	}
	want := readSS(t, string(read(t, "ss")), groups)
	if len(want) != 44 || len(groups) != 1 {
		t.Fatalf("ss said something of %d sockets in %d cgroups", len(want), len(groups))
	}
	if diff := cmp.Diff(want, ours(asked)); diff != "" {
		t.Errorf("dumps (-ss +ours):\n%s", diff)
	}
	if diff := cmp.Diff(strip(want), strip(ours(tables))); diff != "" {
		t.Errorf("tables (-ss +ours):\n%s", diff)
	}
	// What ss knows nothing of must be the same both ways.
	for _, protocol := range []listeners.Protocol{listeners.UDPLite, listeners.Raw} {
		others := cmpopts.IgnoreSliceElements(func(l listeners.Listener) bool { return l.Protocol != protocol })
		inexact := cmpopts.IgnoreFields(listeners.Listener{}, "Exact", "V6Only", "Device", "Cgroup")
		if diff := cmp.Diff(asked, tables, others, inexact, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			cmpopts.SortSlices(func(a, b listeners.Listener) bool { return a.Inode < b.Inode })); diff != "" {
			t.Errorf("%s (-dumps +tables):\n%s", protocol, diff)
		}
	}
}

// host is a file system with these files.
func host(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestNoModuleIsEverLoaded(t *testing.T) {
	t.Parallel()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	builtin := "lib/modules/" + unix.ByteSliceToString(name.Release[:]) + "/modules.builtin"
	const protocols, modules = "proc/net/protocols", "proc/modules"
	for _, test := range []struct {
		name  string
		files map[string]string
		asked bool
	}{
		{"a loaded module is asked", map[string]string{modules: "", protocols: "", "sys/module/tcp_diag/x": ""}, true},
		{"one that is a part of the kernel is asked", map[string]string{modules: "", builtin: "kernel/net/ipv4/tcp_diag.ko\n"}, true},
		{"one that is written with a dash is the same", map[string]string{modules: "", builtin: "kernel/net/ipv4/tcp-diag.ko\n"}, true},
		{"one that would have to be loaded is not", map[string]string{modules: "", protocols: "", builtin: "kernel/net/ipv4/udp_diag.ko\n"}, false},
		{"a kernel without modules is asked", map[string]string{protocols: ""}, true},
		{"a kernel that loads no more is asked", map[string]string{modules: "", "proc/sys/kernel/modules_disabled": "1\n"}, true},
		{"a kernel that may load is not", map[string]string{modules: "", "proc/sys/kernel/modules_disabled": "0\n", "proc/sys/kernel/modprobe": "/sbin/modprobe\n"}, false},
		{"a kernel without a program to load with is asked", map[string]string{modules: "", "proc/sys/kernel/modprobe": "\n"}, true},
		{"without procfs nobody knows, and nobody is asked", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tape := &probetest.Tape{}
			view := listeners.New(rootfs.New(rootfs.Paths{Root: host(t, test.files)}), tape).Own()
			_, _ = view.List(t.Context(), listeners.TCP)
			if got := tape.Asked > 0; got != test.asked {
				t.Errorf("asked is %t; want %t", got, test.asked)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const protocols, columns = "proc/net/protocols", "  sl  local_address\n"
	listening := "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n"
	web := listeners.Listener{Protocol: listeners.TCP, Address: netip.MustParseAddr("127.0.0.1"), Port: 8080, UID: 1000, HasUID: true, Inode: 4711}
	for _, test := range []struct {
		name     string
		files    map[string]string
		kernel   error
		protocol listeners.Protocol
		want     []listeners.Listener
		err      error
		reason   probes.Reason
	}{
		{
			name:  "where the kernel has no diag, its table is read",
			files: map[string]string{protocols: "", "proc/net/tcp": columns + listening}, kernel: fs.ErrNotExist,
			protocol: listeners.TCP, want: []listeners.Listener{web},
		},
		{
			name:  "a line that is none hides no other, and is reported",
			files: map[string]string{protocols: "", "proc/net/tcp": columns + "   7: rubbish\n" + listening}, kernel: fs.ErrNotExist,
			protocol: listeners.TCP, want: []listeners.Listener{web}, reason: probes.Malformed,
		},
		{
			name: "after the first connection there is no listener, and reading ends",
			files: map[string]string{protocols: "", "proc/net/tcp": columns + listening +
				"   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0\nrubbish\n"},
			kernel: fs.ErrNotExist, protocol: listeners.TCP, want: []listeners.Listener{web},
		},
		{
			name: "old kernels print half-open connections among the listeners",
			files: map[string]string{protocols: "", "proc/net/tcp": columns +
				"   0: 0100007F:1F90 0100007F:C350 03 00000000:00000000 01:00000000 00000000  1000        0 0 1 0\n" + listening},
			kernel: fs.ErrNotExist, protocol: listeners.TCP, want: []listeners.Listener{web},
		},
		{
			name: "a protocol that the kernel does not have is absent", files: map[string]string{protocols: ""},
			kernel: fs.ErrNotExist, protocol: listeners.SCTP, err: listeners.ErrAbsent, reason: probes.Other,
		},
		{
			name:     "listening endpoints of SCTP, and no others",
			files:    map[string]string{protocols: "", "proc/net/sctp/eps": " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\nffff9d1c ffff9d1d 2   10  29   3868  0     5000 10.0.0.1 10.0.1.1 \nffff9d1c ffff9d1d 2   7   29   3869  0     5001 10.0.0.1 \n"},
			protocol: listeners.SCTP,
			want:     []listeners.Listener{{Protocol: listeners.SCTP, Address: netip.MustParseAddr("10.0.0.1"), Port: 3868, HasUID: true, Inode: 5000}},
		},
		{
			name: "vsock without a diag is a blind spot", files: map[string]string{protocols: "protocol  size sockets\nAF_VSOCK  1328      0\n"},
			kernel: fs.ErrNotExist, protocol: listeners.Vsock, err: listeners.ErrBlind, reason: probes.Unsupported,
		},
		{
			name: "vsock that would have to be loaded is a blind spot", files: map[string]string{"proc/modules": "", protocols: "protocol  size sockets\nAF_VSOCK  1328      0\n"},
			protocol: listeners.Vsock, err: listeners.ErrBlind, reason: probes.Unsupported,
		},
		{
			name: "a kernel without vsock has none", files: map[string]string{protocols: "protocol  size sockets\nPACKET    1328      0\n"},
			kernel: fs.ErrNotExist, protocol: listeners.Vsock, err: listeners.ErrAbsent, reason: probes.Other,
		},
		{
			name: "without procfs the error is told", protocol: listeners.TCP, kernel: errors.New("down"),
			err: fs.ErrNotExist, reason: probes.NotFound,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			view := listeners.New(rootfs.New(rootfs.Paths{Root: host(t, test.files)}), refuse{test.kernel}).Own()
			got, err := view.List(t.Context(), test.protocol)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if test.err != nil && !errors.Is(err, test.err) || test.reason == "" && err != nil || test.reason != "" && probes.ReasonOf(err) != test.reason {
				t.Errorf("error %v of reason %s; want %v, %s", err, probes.ReasonOf(err), test.err, test.reason)
			}
		})
	}
}

// Hard links share an inode as the files of one namespace do.
func TestNamespacesAreToldApartWithoutAnyRight(t *testing.T) {
	t.Parallel()
	root := host(t, map[string]string{"proc/1/net/dev": "", "proc/77/net/dev": "", "proc/sys/x": "", "proc/9/comm": "zombie"})
	for from, to := range map[string]string{"proc/1/net/dev": "proc/20/net/dev", "proc/77/net/dev": "proc/301/net/dev", "proc/20/net/dev": "proc/self/net/dev"} {
		path := filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		source := filepath.Join(root, strings.Replace(from, "/20/", "/1/", 1))
		if err := os.Link(source, path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := listeners.New(rootfs.New(rootfs.Paths{Root: root}), refuse{}).Namespaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []listeners.Namespace{{Own: true, Init: true, PID: 1}, {PID: 77}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(listeners.Namespace{}, "ID"), cmpopts.IgnoreUnexported(listeners.Namespace{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
