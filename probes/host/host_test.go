package host_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/host"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func specs() []probes.Spec {
	word := []*regexp.Regexp{regexp.MustCompile("[a-z]+")}
	return []probes.Spec{{Name: "patch", Commands: []probes.Command{
		{Entry: "say", Argv: []string{"echo", "{0}"}, Objects: word},
		{Entry: "id", Argv: []string{"id", "-u"}, Privileged: true},
	}}}
}

func open(t *testing.T, o host.Options) *host.Hosts {
	t.Helper()
	o.Specs = specs()
	hosts, err := host.New(o)
	must(t, err)
	return hosts
}

// plant makes the root of a host with this machine id.
func plant(t *testing.T, id string) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.Mkdir(root+"/etc", 0o755))
	must(t, os.WriteFile(root+"/etc/machine-id", []byte(id), 0o644))
	return root
}

const (
	idA = "0123456789abcdef0123456789abcdef\n"
	idB = "fedcba9876543210fedcba9876543210\n"
)

func TestEachProbeHasItsOwnMemoryAndAllShareEvents(t *testing.T) {
	t.Parallel()
	options := host.Options{Root: plant(t, idA), StateDir: filepath.Join(t.TempDir(), "state")}
	first := open(t, options)
	must(t, first.For("patch").State.Save(1, "of patch"))
	must(t, first.For("port").State.Save(1, "of port"))
	must(t, first.State("ledger").Save(1, "of the ledger"))
	event := probes.Event{Kind: "failover", Object: "bond/bond0", At: time.Now().Round(0).UTC()}
	must(t, first.For("redundancy").Events.Observe(event))

	again := open(t, options)
	for state, want := range map[probes.State]string{
		again.For("patch").State: "of patch", again.For("port").State: "of port", again.State("ledger"): "of the ledger",
	} {
		var got string
		if found, err := state.Load(1, &got); !found || err != nil || got != want {
			t.Errorf("Load = %v, %v, %q; want %q", found, err, got, want)
		}
	}
	if diff := cmp.Diff([]probes.Event{event}, again.For("drill").Events.Observed("failover")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if len(again.Notices()) != 0 || again.StateError() != nil || again.WriteFailures() != 0 {
		t.Errorf("notices %v, error %v, %d failures; want none", again.Notices(), again.StateError(), again.WriteFailures())
	}
}

func TestTheStateOfAnotherMachineIsNotUsed(t *testing.T) {
	t.Parallel()
	options := host.Options{Root: plant(t, idA), StateDir: t.TempDir()}
	must(t, open(t, options).State("ledger").Save(1, 7))
	for name, root := range map[string]string{
		"not booted yet": plant(t, "uninitialized\n"), "without an id": t.TempDir(), "the same": plant(t, idA),
	} {
		options.Root = root
		var got int
		if found, err := open(t, options).State("ledger").Load(1, &got); !found || err != nil {
			t.Errorf("a machine that is %s: Load = %v, %v", name, found, err)
		}
	}
	options.Root = plant(t, idB)
	other := open(t, options)
	var got int
	if found, err := other.State("ledger").Load(1, &got); found || err != nil {
		t.Errorf("another machine: Load = %v, %v", found, err)
	}
	if notices := other.Notices(); len(notices) != 1 || !strings.HasPrefix(notices[0], "state of ledger is foreign: ") {
		t.Errorf("notices are %v", notices)
	}
}

func TestProblemsWithTheStateAreTold(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	root := t.TempDir()
	must(t, os.MkdirAll(root+"/etc/machine-id", 0o755))
	hosts := open(t, host.Options{Root: root, StateDir: file})
	if hosts.StateError() == nil {
		t.Error("a file in the place of the state directory is no error")
	}
	want := []string{
		"the state is not tied to this machine: open /etc/machine-id: not a regular file",
		"state directory " + file + " cannot be used: what the agent remembers is lost when it stops",
	}
	if diff := cmp.Diff(want, hosts.Notices()); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	must(t, hosts.State("ledger").Save(1, 7))
	if err := hosts.State("ledger").Save(1, func() {}); err == nil || hosts.WriteFailures() != 1 {
		t.Errorf("saving a function = %v, %d failures", err, hosts.WriteFailures())
	}
}

func TestAHostOutsideTheAgentsRootRunsWrappersOnly(t *testing.T) {
	t.Parallel()
	hosts := open(t, host.Options{Root: t.TempDir()})
	run := func() string {
		out, err := hosts.For("patch").Commands.Run(t.Context(), "say", "a")
		if err != nil {
			return string(probes.ReasonOf(err)) + ": " + err.Error()
		}
		return string(out.Stdout)
	}
	if got := run(); !strings.HasPrefix(got, "unavailable: tool_outside_root: ") {
		t.Errorf("without a wrapper: %s", got)
	}
	must(t, hosts.Wrap(map[string][]string{"echo": {"echo", "wrapped"}}))
	if got := run(); got != "wrapped a\n" {
		t.Errorf("with a wrapper: %s", got)
	}
	err := hosts.Wrap(map[string][]string{"ecko": {"echo"}})
	if want := "commands.ecko: no probe runs a program of this name; known are [echo id]"; err == nil || err.Error() != want {
		t.Errorf("Wrap = %v; want %s", err, want)
	}
	if _, err := host.New(host.Options{Wrappers: map[string][]string{"echo": nil}}); err == nil {
		t.Error("New with a wrong wrapper is no error")
	}
}

func TestTheRestOfTheHost(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	hosts := open(t, host.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	h := hosts.For("port")
	h.Log.Info("hello")
	if !strings.Contains(log.String(), "msg=hello probe=port") {
		t.Errorf("the log says %q", &log)
	}
	if data, err := h.Files.ReadFile("/proc/self/comm", 100); err != nil || len(data) == 0 {
		t.Errorf("ReadFile = %q, %v", data, err)
	}
	links := 0
	request := probes.NetlinkRequest{Protocol: unix.NETLINK_ROUTE, Type: unix.RTM_GETLINK, Payload: make([]byte, unix.SizeofIfInfomsg)}
	if err := h.Netlink.Dump(t.Context(), request, func(probes.NetlinkMessage) error { links++; return nil }); err != nil || links == 0 {
		t.Errorf("Dump = %v, %d interfaces", err, links)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	conn, err := h.Dial(t.Context(), "tcp", l.Addr().String())
	must(t, err)
	must(t, conn.Close())
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Dial(cancelled, "tcp", l.Addr().String()); err == nil {
		t.Error("Dial does not obey its context")
	}
	open(t, host.Options{}).For("port").Log.Info("a missing logger is none to fall over")
}

// TestAnAgentAndItsHelper is the whole way: an agent that is not root, the
// socket with the permissions that the package gives it, and a helper.
func TestAnAgentAndItsHelper(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "h") // the path of a socket must be short
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	socket := filepath.Join(dir, "s")
	agent := func() (out probes.Output, err error) {
		unprivileged(t, func() {
			var hosts *host.Hosts
			if hosts, err = host.New(host.Options{Specs: specs(), HelperSocket: socket}); err == nil {
				out, err = hosts.For("patch").Commands.Run(t.Context(), "id")
			}
		})
		return out, err
	}
	if _, err := agent(); probes.ReasonOf(err) != probes.PermissionDenied || !strings.Contains(err.Error(), "hygiene_exporter-helper.socket") {
		t.Errorf("without a helper: %v", err)
	}

	l, err := net.Listen("unix", socket)
	must(t, err)
	must(t, os.Chmod(socket, 0o660))
	if os.Geteuid() == 0 {
		must(t, os.Chown(socket, 0, nobody))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- host.ServeHelper(ctx, l, specs(), slog.New(slog.DiscardHandler)) }()
	out, err := agent()
	if want := strconv.Itoa(os.Geteuid()) + "\n"; err != nil || string(out.Stdout) != want {
		t.Errorf("with a helper the command ran as %q, %v; want the helper's user %q", out.Stdout, err, want)
	}
	cancel()
	must(t, <-done)
}

const nobody = 65534

// unprivileged runs f in a thread of another user, if we are root.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, _, errno := unix.RawSyscall(call, nobody, nobody, nobody); errno != 0 {
				t.Errorf("system call %d: %v", call, errno)
				return
			}
		}
		f()
	}()
	<-done
}
