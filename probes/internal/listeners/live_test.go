//go:build live

package listeners_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/internal/netlink"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/probetest"
)

// asEnv makes the test binary print what it sees and end: so it can look with
// other rights than those of the test.
const asEnv = "HYGIENE_TEST_LOOK"

func TestMain(m *testing.M) {
	if os.Getenv(asEnv) != "" {
		if err := json.NewEncoder(os.Stdout).Encode(look()); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// seen is what one process sees of the namespaces of this machine.
type seen struct {
	Name      string
	Own       bool
	PID       int
	Entered   bool
	Listeners []listeners.Listener
	Errors    []string
}

func look() []seen {
	source := listeners.New(rootfs.New(rootfs.Paths{}), netlink.Kernel{})
	spaces, err := source.Namespaces(context.Background())
	if err != nil {
		panic(err)
	}
	var list []seen
	for _, n := range spaces {
		s := seen{Name: n.Name, Own: n.Own, PID: n.PID}
		view := source.In(n)
		for _, protocol := range listeners.Protocols() {
			found, err := view.List(context.Background(), protocol)
			if err != nil && !errors.Is(err, listeners.ErrAbsent) {
				s.Errors = append(s.Errors, fmt.Sprintf("%s: %v", protocol, err))
			}
			s.Listeners = append(s.Listeners, found...)
		}
		s.Entered = view.Entered() == nil
		view.Close()
		list = append(list, s)
	}
	return list
}

// netns makes a network namespace with a loopback that is up, in which a
// process lives.
func netns(t *testing.T, name string) {
	t.Helper()
	name = "hygiene-" + name
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	run(t, "ip", "-n", name, "link", "set", "lo", "up")
	inhabitant := exec.Command("ip", "netns", "exec", name, "sleep", "600")
	if err := inhabitant.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inhabitant.Process.Kill(); _ = inhabitant.Wait() })
	// It lives there as soon as it has become sleep.
	for range 1000 {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", inhabitant.Process.Pid))
		if strings.TrimSpace(string(comm)) == "sleep" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("nobody moved in")
}

func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// within runs f on a thread in a named namespace.
func within(t *testing.T, name string, f func()) {
	t.Helper()
	if name == "" {
		f()
		return
	}
	file, err := os.Open("/run/netns/hygiene-" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// socket opens and binds a socket; it listens if it can.
func socket(t *testing.T, family, kind, protocol int, address unix.Sockaddr, options ...func(fd int) error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Errorf("socket %d %d %d: %v", family, kind, protocol, err)
		return
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, option := range options {
		if err := option(fd); err != nil {
			t.Errorf("option of %d %d %d: %v", family, kind, protocol, err)
		}
	}
	if address != nil {
		if err := unix.Bind(fd, address); err != nil {
			t.Errorf("bind %+v: %v", address, err)
		}
	}
	if kind == unix.SOCK_STREAM || kind == unix.SOCK_SEQPACKET {
		if err := unix.Listen(fd, 5); err != nil {
			t.Errorf("listen %+v: %v", address, err)
		}
	}
}

func only6(on int) func(int) error {
	return func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, on) }
}

func device(name string) func(int) error {
	return func(fd int) error { return unix.BindToDevice(fd, name) }
}

func promiscuous(fd int) error {
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: 1, Type: unix.PACKET_MR_PROMISC})
}

// populate opens sockets of every kind, and others that are no listeners.
func populate(t *testing.T, dir string, n int) {
	four := func(last byte, port int) unix.Sockaddr {
		if last == 0 {
			return &unix.SockaddrInet4{Port: port}
		}
		return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, last}, Port: port}
	}
	six := func(last byte, port int) unix.Sockaddr {
		return &unix.SockaddrInet6{Addr: [16]byte{15: last}, Port: port}
	}
	for _, kind := range []struct{ kind, protocol int }{
		{unix.SOCK_STREAM, unix.IPPROTO_TCP},
		{unix.SOCK_STREAM, unix.IPPROTO_MPTCP},
		{unix.SOCK_DGRAM, unix.IPPROTO_UDP},
		{unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE},
	} {
		for i := range n {
			socket(t, unix.AF_INET, kind.kind, kind.protocol, four(byte(i%200), 0))
			socket(t, unix.AF_INET6, kind.kind, kind.protocol, six(byte(i%2), 0), only6(i/2%2))
		}
		socket(t, unix.AF_INET, kind.kind, kind.protocol, four(0, 0), device("lo"))
		socket(t, unix.AF_INET6, kind.kind, kind.protocol, six(0, 0), only6(0), device("lo"))
		mapped := &unix.SockaddrInet6{Addr: [16]byte{10: 255, 11: 255, 12: 127, 15: 9}}
		socket(t, unix.AF_INET6, kind.kind, kind.protocol, mapped, only6(0))
	}
	connected := func(fd int) error { return unix.Connect(fd, four(1, 9)) }
	socket(t, unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP, nil, connected)
	socket(t, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, nil)
	socket(t, unix.AF_INET, unix.SOCK_RAW, 89, four(1, 0))
	socket(t, unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, nil)
	const all = 0x0300 // ETH_P_ALL in the order of the network
	socket(t, unix.AF_PACKET, unix.SOCK_RAW, all, nil)
	socket(t, unix.AF_PACKET, unix.SOCK_DGRAM, 0x0008, &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: 1}, promiscuous)
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("%d.sock", i))
		socket(t, unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: path})
		socket(t, unix.AF_UNIX, unix.SOCK_SEQPACKET, 0, &unix.SockaddrUnix{Name: fmt.Sprintf("@%s/%d", dir, i)})
		socket(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0, &unix.SockaddrUnix{Name: path + ".datagrams"})
	}
	socket(t, unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: filepath.Join(dir, "with space")})
}

// ss runs ss in a namespace. The mounts stay those of the test, or ss could not
// name cgroups.
func ss(t *testing.T, name string, families ...string) string {
	argv := slices.Concat([]string{"ss", "-H", "-O", "-n", "-e", "-l"}, families)
	if name != "" {
		argv = slices.Concat([]string{"nsenter", "--net=/run/netns/hygiene-" + name}, argv)
	}
	return run(t, argv...)
}

// rawOracle is what ss says of raw sockets: address and protocol. It knows no
// inodes where the kernel has no raw_diag.
func rawOracle(t *testing.T, name string) (list []string) {
	for line := range strings.Lines(ss(t, name, "-w")) {
		local := strings.Fields(line)[3]
		list = append(list, strings.NewReplacer("*:", ":::", "[", "", "]", "").Replace(local))
	}
	slices.Sort(list)
	return list
}

func rawOurs(found []listeners.Listener) (list []string) {
	for _, l := range found {
		if l.Protocol == listeners.Raw {
			list = append(list, fmt.Sprintf("%s:%d", l.Address, l.Port))
		}
	}
	slices.Sort(list)
	return list
}

// unified returns where the cgroups of version 2 are mounted.
func unified(t *testing.T) string {
	t.Helper()
	for _, top := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var fs unix.Statfs_t
		if unix.Statfs(top, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			return top
		}
	}
	t.Fatal("there are no cgroups of version 2")
	return ""
}

// enterCgroup moves this process to a new cgroup until leave is called.
func enterCgroup(t *testing.T, name string) (leave func()) {
	t.Helper()
	top := unified(t)
	back, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	home := "/"
	for line := range strings.Lines(string(back)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			home = rest
		}
	}
	move := func(name string) {
		err := os.WriteFile(filepath.Join(top, name, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(top, name), 0o755); err != nil {
		t.Fatal(err)
	}
	move(name)
	t.Cleanup(func() {
		for dir := name; dir != "."; dir = filepath.Dir(dir) {
			_ = os.Remove(filepath.Join(top, dir))
		}
	})
	return func() { move(home) }
}

func cgroups(t *testing.T) map[string]uint64 {
	table := map[string]uint64{}
	top := unified(t)
	_ = filepath.WalkDir(top, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			var st unix.Stat_t
			if unix.Stat(path, &st) == nil {
				table[cmp.Or(strings.TrimPrefix(path, top), "/")] = st.Ino
			}
		}
		return nil
	})
	return table
}

// A step is a set of rights with which we look.
type step struct {
	name string
	uid  uint32
	caps []uintptr
}

func steps() []step {
	const ptrace, admin, search = unix.CAP_SYS_PTRACE, unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH
	return []step{
		{"as root", 0, nil},
		{"as nobody", 65534, nil},
		{"as nobody with CAP_SYS_PTRACE", 65534, []uintptr{ptrace}},
		{"as nobody with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", 65534, []uintptr{ptrace, search}},
		{"as nobody with CAP_SYS_PTRACE and CAP_SYS_ADMIN", 65534, []uintptr{ptrace, admin}},
	}
}

// enters reports whether a step suffices to ask in other namespaces.
func (s step) enters() bool {
	return s.uid == 0 || slices.Contains(s.caps, unix.CAP_SYS_ADMIN) && slices.Contains(s.caps, unix.CAP_SYS_PTRACE)
}

func (s step) look(t *testing.T) []seen {
	t.Helper()
	// The test binary may lie where nobody else can reach it.
	binary := filepath.Join(t.TempDir(), "look")
	data, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(binary, data, 0o755)
	}
	for dir := filepath.Dir(binary); err == nil && strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), asEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: s.uid, Gid: s.uid, NoSetGroups: false},
		AmbientCaps: s.caps,
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []seen
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// Hundreds of sockets of every kind in several namespaces and cgroups, seen
// with each set of rights, against ss of iproute2.
func TestLiveListenersAreThoseOfSS(t *testing.T) {
	names := []string{"", "a", "b"}
	for _, name := range names[1:] {
		netns(t, name)
	}
	for _, name := range names {
		dir := t.TempDir()
		leave := func() {}
		if name == "b" {
			leave = enterCgroup(t, "hygiene-test.slice/listeners.service")
		}
		within(t, name, func() { populate(t, dir, 25) })
		leave()
	}
	groups := cgroups(t)
	if groups["/hygiene-test.slice/listeners.service"] == 0 {
		t.Error("the cgroup is not there")
	}
	for _, s := range steps() {
		t.Run(s.name, func(t *testing.T) {
			views := s.look(t)
			matched := 0
			for _, name := range names {
				want := readSS(t, ss(t, name, "-t", "-u", "-0", "-x", "--vsock", "-S"), groups)
				view := find(t, views, name, want)
				if view == nil {
					t.Errorf("the namespace %q was not found", name)
					continue
				}
				inside := name == "" || s.enters()
				if view.Entered != inside {
					t.Errorf("namespace %q: entered is %t; want %t", name, view.Entered, inside)
				}
				for _, complaint := range view.Errors {
					if !strings.HasPrefix(complaint, "vsock: ") {
						t.Errorf("namespace %q: %s", name, complaint)
					}
				}
				got := ours(view.Listeners)
				if !inside {
					// The tables do not tell these.
					want = strip(want)
					got = strip(got)
				}
				foreign(want, got)
				if diff := gocmp.Diff(rawOracle(t, name), rawOurs(view.Listeners)); diff != "" {
					t.Errorf("raw sockets of namespace %q (-ss +ours):\n%s", name, diff)
				}
				if n := lite(view.Listeners); n != 53 {
					t.Errorf("namespace %q: %d UDP-Lite sockets; want 53", name, n)
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("namespace %q (-ss +ours):\n%s", name, diff)
				}
				matched += len(want)
			}
			t.Logf("%d listeners in %d namespaces are as ss says", matched, len(names))
		})
	}
}

// find returns the view of a namespace: the one with most of its sockets.
func find(t *testing.T, views []seen, name string, want map[uint64]string) *seen {
	for i, view := range views {
		common := 0
		for _, l := range view.Listeners {
			if _, has := want[l.Inode]; has {
				common++
			}
		}
		if common > len(want)/2 {
			if view.Name != "" && view.Name != "hygiene-"+name {
				t.Errorf("namespace %q has the name %q", name, view.Name)
			}
			return &views[i]
		}
	}
	return nil
}

// foreign drops what other processes opened or closed between two looks.
func foreign(want, got map[uint64]string) {
	for inode := range maps.Clone(want) {
		if _, both := got[inode]; !both && !own(inode) {
			delete(want, inode)
		}
	}
	for inode := range maps.Clone(got) {
		if _, both := want[inode]; !both && !own(inode) {
			delete(got, inode)
		}
	}
}

// own reports whether this process holds the socket.
func own(inode uint64) bool {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + entry.Name()); target == fmt.Sprintf("socket:[%d]", inode) {
			return true
		}
	}
	return false
}

// recordEnv names the directory of a recording that is made anew.
const recordEnv = "HYGIENE_TEST_RECORD"

// TestLiveRecord records what the kernel says of a namespace with sockets of
// every kind, by netlink and in its tables, and what ss says of the same
// sockets. The hermetic tests read it.
func TestLiveRecord(t *testing.T) {
	dir := os.Getenv(recordEnv)
	if dir == "" {
		dir = t.TempDir() // recording must work even if nobody keeps it
	}
	netns(t, "record")
	leave := enterCgroup(t, "hygiene-test.slice/recorded.service")
	within(t, "record", func() { populate(t, filepath.Join(t.TempDir()), 4) })
	leave()
	source := rootfs.New(rootfs.Paths{})
	spaces, err := listeners.New(source, netlink.Kernel{}).Namespaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(spaces, func(n listeners.Namespace) bool { return n.Name == "hygiene-record" })
	if i < 0 {
		t.Fatalf("the namespace is not among %+v", spaces)
	}
	recorder := &probetest.Tape{Kernel: netlink.Kernel{}}
	view := listeners.New(source, recorder).In(spaces[i])
	defer view.Close()
	for _, protocol := range listeners.Protocols() {
		_, _ = view.List(t.Context(), protocol)
	}
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("netlink", recorder.Bytes())
	write("ss", []byte(ss(t, "record", "-t", "-u", "-0", "-x")))
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "packet", "unix", "protocols"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", spaces[i].PID, table))
		if err != nil {
			t.Fatal(err)
		}
		write("proc/net/"+table, data)
	}
}

func lite(found []listeners.Listener) (n int) {
	for _, l := range found {
		if l.Protocol == listeners.UDPLite {
			n++
		}
	}
	return n
}
