package command

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

// privilegedExample declares what the helper of the tests may run.
func privilegedExample() []probes.Spec {
	return []probes.Spec{{Name: "p", Commands: []probes.Command{
		{Entry: "say", Argv: []string{"echo", "said:{0}"}, Objects: patterns("[a-z ]+"), Privileged: true},
		{Entry: "fail", Argv: shell("echo out; echo err >&2; exit 3"), Privileged: true},
		{Entry: "env", Argv: []string{"env"}, Privileged: true},
		{Entry: "flood", Argv: []string{"yes"}, Privileged: true},
		{Entry: "missing", Argv: []string{"no-such-program"}, Privileged: true},
		{Entry: "hang", Argv: shell("echo $$ > {0}; exec sleep 1000"), Objects: patterns("/[A-Za-z0-9/_.]+"), Privileged: true},
		{Entry: "plain", Argv: []string{"echo"}},
	}}}
}

// start serves a helper on a new socket until the test ends.
func start(t *testing.T, mode os.FileMode) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "h") // the path of a socket must be short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	must(t, err)
	must(t, os.Chmod(socket, mode))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, privilegedExample(), slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return socket
}

// client makes the commands of an agent that is not root.
func client(t *testing.T, socket string) probes.Commands {
	t.Helper()
	broker, err := New(Options{Specs: privilegedExample(), Own: true, Socket: socket})
	must(t, err)
	return broker.For("p")
}

func TestTheHelperRunsPrivilegedCommands(t *testing.T) {
	t.Parallel()
	agent := client(t, start(t, 0o600))
	out, err := agent.Run(t.Context(), "say", "a b")
	if diff := cmp.Diff(probes.Output{Stdout: []byte("said:a b\n")}, out); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	out, err = agent.Run(t.Context(), "fail")
	if diff := cmp.Diff(probes.Output{Stdout: []byte("out\n"), Stderr: []byte("err\n"), ExitCode: 3}, out); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	out, err = agent.Run(t.Context(), "flood")
	if probes.ReasonOf(err) != probes.TooLarge || !out.Truncated || len(out.Stdout) != 8<<20 {
		t.Errorf("%d bytes, truncated %v, %v; want 8 MiB that are too large", len(out.Stdout), out.Truncated, err)
	}
	if _, err = agent.Run(t.Context(), "plain"); err != nil {
		t.Errorf("an unprivileged command ends with %v", err)
	}
	var clients sync.WaitGroup
	for range 3 * maxClients {
		clients.Go(func() {
			if out, err := agent.Run(t.Context(), "say", "x"); err != nil || string(out.Stdout) != "said:x\n" {
				t.Errorf("Run = %q, %v", out.Stdout, err)
			}
		})
	}
	clients.Wait()
}

// raw sends bytes to the helper and returns its answer.
func raw(t *testing.T, socket, text string) response {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	must(t, err)
	defer conn.Close()
	_, _ = io.WriteString(conn, text) // a helper that has read enough does not read on
	must(t, conn.(*net.UnixConn).CloseWrite())
	var r response
	must(t, json.NewDecoder(conn).Decode(&r))
	return r
}

func TestTheHelperRefuses(t *testing.T) {
	t.Parallel()
	socket := start(t, 0o600)
	const skew = `; is the helper of another version than the agent?`
	for _, test := range []struct {
		name, request string
		want          failure
	}{
		{"garbage", "\x00\xff{", failure{probes.Malformed, `malformed request: invalid character '\x00' looking for beginning of value`}},
		{"silence", "", failure{probes.Malformed, "malformed request: EOF"}},
		{"half a request", `{"probe":"p"`, failure{probes.Malformed, "malformed request: unexpected EOF"}},
		{"an endless request", `{"probe":"` + strings.Repeat("p", 70_000), failure{probes.Malformed, "malformed request: unexpected EOF"}},
		{"an argv of the client's own", `{"probe":"p","entry":"say","argv":["sh"]}`, failure{probes.Malformed, `malformed request: json: unknown field "argv"`}},
		{"an unknown probe", `{"probe":"x","entry":"say"}`, failure{probes.Unsupported, `"x" has no privileged command "say" here` + skew}},
		{"an unprivileged command", `{"probe":"p","entry":"plain"}`, failure{probes.Unsupported, `"p" has no privileged command "plain" here` + skew}},
		{"a program instead of an entry", `{"probe":"p","entry":"/bin/sh"}`, failure{probes.Unsupported, `"p" has no privileged command "/bin/sh" here` + skew}},
		{"an entry with arguments", `{"probe":"p","entry":"say; id"}`, failure{probes.Unsupported, `"p" has no privileged command "say; id" here` + skew}},
		{"an environment of the client's own", `{"probe":"p","entry":"env","env":{"LD_PRELOAD":"/tmp/x.so"}}`, failure{probes.Malformed, `malformed request: json: unknown field "env"`}},
		{"a list of entries", `{"probe":"p","entry":["say","fail"]}`, failure{probes.Malformed, "malformed request: json: cannot unmarshal array into Go struct field request.entry of type string"}},
		{"a line break in an object", `{"probe":"p","entry":"say","objects":["a\nb"]}`, failure{probes.Malformed, `command say: "a\nb" is no object that it may be given`}},
		{"a zero in an object", `{"probe":"p","entry":"say","objects":["a\u0000b"]}`, failure{probes.Malformed, `command say: "a\x00b" is no object that it may be given`}},
		{"an option instead of an object", `{"probe":"p","entry":"say","objects":["-e"]}`, failure{probes.Malformed, `command say: "-e" is no object that it may be given`}},
		{"a path out of where objects are", `{"probe":"p","entry":"say","objects":["../../etc/shadow"]}`, failure{probes.Malformed, `command say: "../../etc/shadow" is no object that it may be given`}},
		{"one object too many", `{"probe":"p","entry":"say","objects":["a","b"]}`, failure{probes.Other, "command say takes 1 objects, not 2"}},
		{"an object that is not allowed", `{"probe":"p","entry":"say","objects":["$(id)"]}`, failure{probes.Malformed, `command say: "$(id)" is no object that it may be given`}},
		{"no objects", `{"probe":"p","entry":"say"}`, failure{probes.Other, "command say takes 1 objects, not 0"}},
		{"a missing program", `{"probe":"p","entry":"missing"}`, failure{probes.NotFound, "no-such-program is not installed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(response{Error: &test.want}, raw(t, socket, test.request)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What follows a request is not read as another one, and what a program sees is
// what the helper gives it.
func TestTheHelperRunsWhatWasAskedAndNoMore(t *testing.T) {
	t.Parallel()
	socket := start(t, 0o600)
	conn, err := net.Dial("unix", socket)
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, `{"probe":"p","entry":"env"}{"probe":"p","entry":"fail"}`)
	must(t, err)
	var got response
	must(t, json.NewDecoder(conn).Decode(&got))
	if more, err := io.ReadAll(conn); len(strings.TrimSpace(string(more))) > 0 || err != nil {
		t.Errorf("then it says %q, %v", more, err)
	}
	want := strings.Join(environment(), "\n") + "\n"
	if diff := cmp.Diff(response{Stdout: []byte(want)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// serve runs a helper with a patience of its own until it ends.
func serve(t *testing.T, change func(h *helper)) (socket string, ended chan error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "h")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	must(t, err)
	entries, err := compile(privileged(privilegedExample()))
	must(t, err)
	h := &helper{
		entries: entries, runner: newRunner(), allow: func(net.Conn) error { return nil },
		patience: time.Minute, idle: time.Minute, log: slog.New(slog.DiscardHandler),
	}
	change(h)
	ended = make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { ended <- h.serve(ctx, l) }()
	return socket, ended
}

func TestTheHelperDoesNotWaitForSlowClients(t *testing.T) {
	t.Parallel()
	socket, _ := serve(t, func(h *helper) { h.patience = 50 * time.Millisecond })
	var clients sync.WaitGroup
	for range 3 * maxClients { // more than it serves at once
		clients.Go(func() {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, `{"probe":`) // and nothing more
			_, _ = io.ReadAll(conn)
		})
	}
	clients.Wait()
	if out, err := client(t, socket).Run(t.Context(), "say", "x"); err != nil || string(out.Stdout) != "said:x\n" {
		t.Errorf("after them: %q, %v", out.Stdout, err)
	}
}

func TestTheHelperEndsWhenNobodyAsks(t *testing.T) {
	t.Parallel()
	_, ended := serve(t, func(h *helper) { h.idle = 50 * time.Millisecond })
	if err := <-ended; err != nil {
		t.Errorf("serve = %v", err)
	}
}

// hang starts a program that never ends and returns its process id.
func hang(t *testing.T, run func(fifo string)) int {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "pid")
	must(t, unix.Mkfifo(fifo, 0o600))
	go run(fifo)
	text, err := os.ReadFile(fifo)
	must(t, err)
	return number(t, text)
}

func TestTheHelperKillsForAClientThatLeaves(t *testing.T) {
	t.Parallel()
	agent := client(t, start(t, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	pid := hang(t, func(fifo string) {
		_, err := agent.Run(ctx, "hang", fifo)
		ended <- err
	})
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("Run = %v; want %v", err, context.Canceled)
	}
	awaitDeath(t, pid)
}

func TestTheHelperObeysTheClientsDeadline(t *testing.T) {
	t.Parallel()
	socket := start(t, 0o600)
	ended := make(chan error, 1)
	pid := hang(t, func(fifo string) {
		_, err := ask(context.Background(), socket, request{Probe: "p", Entry: "hang", Objects: []string{fifo}, Timeout: 200})
		ended <- err
	})
	err := <-ended
	if want := "root helper: sh was killed: context deadline exceeded"; err == nil || err.Error() != want || probes.ReasonOf(err) != probes.Timeout {
		t.Errorf("the helper ends with %v of reason %s; want %s", err, probes.ReasonOf(err), want)
	}
	awaitDeath(t, pid)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client(t, socket).Run(ctx, "hang", "/dev/null"); probes.ReasonOf(err) != probes.Timeout {
		t.Errorf("Run = %v of reason %s; want a timeout", err, probes.ReasonOf(err))
	}
}

func TestAHelperWithoutAnAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = conn.Read(make([]byte, 1000))
			conn.Close()
		}
	}()
	if _, err := client(t, socket).Run(t.Context(), "say", "a"); probes.ReasonOf(err) != probes.Unavailable {
		t.Errorf("Run = %v of reason %s; want %s", err, probes.ReasonOf(err), probes.Unavailable)
	}
}

func TestServeWantsAUnixSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	if err := Serve(t.Context(), l, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("Serve on TCP is no error")
	}
	broken := one(probes.Command{Entry: "e", Argv: []string{"{0}"}, Privileged: true})
	if err := Serve(t.Context(), l, broken, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("Serve with a broken declaration is no error")
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	socket := func(mode uint32) *syscall.Stat_t {
		return &syscall.Stat_t{Mode: unix.S_IFSOCK | mode, Uid: 100, Gid: 200}
	}
	for _, test := range []struct {
		name string
		peer unix.Ucred
		stat *syscall.Stat_t
		want bool
	}{
		{"root may ask", unix.Ucred{Uid: 0, Gid: 0}, socket(0o666), true},
		{"root may ask without a socket file", unix.Ucred{Uid: 0, Gid: 0}, nil, true},
		{"the helper's own user may ask", unix.Ucred{Uid: 7, Gid: 7}, socket(0o666), true},
		{"whoever the kernel lets connect may ask", unix.Ucred{Uid: 55, Gid: 55}, socket(0o660), true},
		{"a socket open to everybody lets nobody in", unix.Ucred{Uid: 55, Gid: 55}, socket(0o666), false},
		{"a socket open to everybody lets its owner in", unix.Ucred{Uid: 100, Gid: 55}, socket(0o666), true},
		{"a socket open to everybody lets its group in", unix.Ucred{Uid: 55, Gid: 200}, socket(0o666), true},
		{"without a socket file nobody else may ask", unix.Ucred{Uid: 100, Gid: 200}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := allowed(&test.peer, 7, test.stat); got != test.want {
				t.Errorf("allowed = %v", got)
			}
		})
	}
}

// Only root can be somebody else; other users find that they are themselves.
func TestTheKernelSaysWhoAsks(t *testing.T) {
	t.Parallel()
	open, closed := start(t, 0o666), start(t, 0o600)
	if os.Geteuid() != 0 {
		if _, err := client(t, open).Run(t.Context(), "say", "a"); err != nil {
			t.Errorf("our own user: %v", err)
		}
		return
	}
	for socket, want := range map[string]string{
		open:   "root helper: user 65534 may not ask the root helper",
		closed: "p/say needs the root helper, and the agent's user may not connect to it: dial unix " + closed + ": connect: permission denied",
	} {
		agent := client(t, socket)
		asNobody(t, func() {
			_, err := agent.Run(t.Context(), "say", "a")
			if err == nil || err.Error() != want || probes.ReasonOf(err) != probes.PermissionDenied {
				t.Errorf("Run = %v of reason %s; want %s", err, probes.ReasonOf(err), want)
			}
		})
	}
}
