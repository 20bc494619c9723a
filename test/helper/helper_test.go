//go:build live

package helper

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// answer is what the helper answers.
type answer struct {
	Stdout   []byte `json:"stdout"`
	ExitCode int    `json:"exit_code"`
	Error    *struct {
		Reason string `json:"reason"`
		Text   string `json:"text"`
	} `json:"error"`
}

func (a answer) text() string {
	if a.Error != nil {
		return a.Error.Reason + ": " + a.Error.Text
	}
	return "status " + strconv.Itoa(a.ExitCode)
}

// start starts the helper by the first client of a socket.
func start(t *testing.T) (socket, agent string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "helper")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	agent, socket = filepath.Join(dir, "hygiene_exporter"), filepath.Join(dir, "s")
	build := exec.Command("go", "build", "-o", agent, "./cmd/hygiene_exporter")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command("systemd-socket-activate", "-l", socket, agent, "helper")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no socket")
		}
	}
	// As the unit of the socket has it.
	if err := os.Chown(socket, 0, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o660); err != nil {
		t.Fatal(err)
	}
	return socket, agent
}

// group may ask; the user is that of nobody.
const (
	group  = 61234
	nobody = 65534
)

// ask sends a request and returns the answer.
func ask(t *testing.T, socket, request string) answer {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	return a
}

// Whatever is asked beyond the compiled list is refused, and leaves no trace.
func TestNothingElseRuns(t *testing.T) {
	socket, _ := start(t)
	trace := filepath.Join(t.TempDir(), "trace")
	for request, want := range map[string]string{
		`{"probe":"redundancy","entry":"dmsetup","argv":["touch","` + trace + `"]}`:          "malformed: malformed request",
		`{"probe":"redundancy","entry":"dmsetup","env":{"PATH":"/tmp"}}`:                     "malformed: malformed request",
		`{"probe":"redundancy","entry":"touch ` + trace + `"}`:                               "unsupported: ",
		`{"probe":"redundancy","entry":"zpool-text"}`:                                        "unsupported: ", // needs no root, and is no business of the helper
		`{"probe":"","entry":""}`:                                                            "unsupported: ",
		`{"probe":"redundancy","entry":"dmsetup","objects":["remove_all"]}`:                  "other: ",
		`{"probe":"redundancy","entry":"teamdctl","objects":["team0; touch ` + trace + `"]}`: "malformed: ",
		`{"probe":"redundancy","entry":"teamdctl","objects":["$(touch ` + trace + `)"]}`:     "malformed: ",
		`{"probe":"redundancy","entry":"teamdctl","objects":["-h"]}`:                         "malformed: ",
		`{"probe":"redundancy","entry":"teamdctl","objects":["a\nb"]}`:                       "malformed: ",
		`{"probe":"redundancy","entry":"teamdctl","objects":["a\u0000b"]}`:                   "malformed: ",
		`{"probe":"redundancy","entry":"mpt-status","objects":["1 --newstyle"]}`:             "malformed: ",
		`{"probe":"redundancy","entry":"arcconf-config","objects":["1' DELETE"]}`:            "malformed: ",
		`{"probe":"` + strings.Repeat("x", 100_000) + `"}`:                                   "malformed: ",
		"\x00\x01\x02": "malformed: ",
	} {
		if a := ask(t, socket, request); !strings.HasPrefix(a.text(), want) {
			t.Errorf("%.100s gives %q, want %q", request, a.text(), want)
		}
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("something else was run")
	}
}

// What is on the list runs as root, for a user who has no rights of his own.
func TestTheListRuns(t *testing.T) {
	socket, agent := start(t)
	if a := ask(t, socket, `{"probe":"redundancy","entry":"dmsetup"}`); a.Error != nil {
		t.Errorf("for root: %s", a.text())
	}
	asNobody(t, group, func() {
		if a := ask(t, socket, `{"probe":"redundancy","entry":"dmsetup"}`); a.Error != nil {
			t.Errorf("for a user of the group: %s", a.text())
		}
	})
	asNobody(t, nobody, func() {
		if conn, err := net.Dial("unix", socket); !errors.Is(err, os.ErrPermission) {
			t.Errorf("another user connects: %v, %v", conn, err)
		}
	})
	if out, err := exec.Command(agent, "helper").CombinedOutput(); err == nil {
		t.Errorf("without a socket it says %s", out)
	}
}

// asNobody runs f in a thread of a user without rights, in one group.
func asNobody(t *testing.T, in int, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		gid := uintptr(in)
		for _, call := range [][4]uintptr{
			{syscall.SYS_SETGROUPS, 0, 0, 0}, {syscall.SYS_SETRESGID, gid, gid, gid}, {syscall.SYS_SETRESUID, nobody, nobody, nobody},
		} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				t.Errorf("system call %d: %v", call[0], errno)
				return
			}
		}
		f()
	}()
	<-done
}

var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([\d.]+)`)

// systemd itself reads the units, and says how much they leave open.
func TestTheUnits(t *testing.T) {
	units, err := filepath.Glob("../../packaging/hygiene_exporter*.s*")
	if err != nil || len(units) < 3 {
		t.Fatalf("the units are %v, %v", units, err)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "/usr/bin/hygiene_exporter is not executable") { // it is not installed here
			t.Errorf("systemd-analyze: %v: %s", err, line)
		}
	}
	for unit, most := range map[string]float64{"hygiene_exporter-helper.service": 3.5, "hygiene_exporter.service": 3.5} {
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "../../packaging/"+unit).CombinedOutput()
		m := exposure.FindStringSubmatch(string(out))
		if m == nil {
			t.Fatalf("%v: %s", err, out)
		}
		if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > most {
			t.Errorf("the exposure of %s is %s, want at most %g", unit, m[1], most)
		}
	}
}
