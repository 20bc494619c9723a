//go:build live

package port

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/host"
	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/process"
)

// roleEnv makes the test binary play another part than that of the test.
const roleEnv = "HYGIENE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, argument, _ := strings.Cut(os.Getenv(roleEnv), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "listen":
		listenFor(argument)
	case "look":
		lookOnce()
	case "hold":
		hold(argument)
	case "measure":
		measure()
	case "scrape":
		scrape(argument)
	case "wall":
		wallOnce()
	}
}

// listenFor listens on what the argument names, says so, and waits for its end.
func listenFor(argument string) {
	var open []any
	for name := range strings.FieldsSeq(argument) {
		network, address, _ := strings.Cut(name, "/")
		var (
			one any
			err error
		)
		if strings.HasPrefix(network, "udp") {
			one, err = net.ListenPacket(network, address)
		} else {
			one, err = net.Listen(network, address)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		open = append(open, one)
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	_ = open
}

// seenSocket is what one look says of a socket.
type seenSocket struct {
	Object, Namespace, Unit, Process string
	PID                              int
	Inode                            uint64
	State                            process.State
}

type seenHost struct {
	Sockets []seenSocket
	Totals  map[string]float64
	Faults  []string
}

func lookOnce() {
	p, result, err := fresh(defaultConfig())
	if err != nil {
		fmt.Println(err)
		return
	}
	var seen seenHost
	seen.Totals = totals(result)
	for name, o := range p.objects {
		for _, s := range o.sockets {
			seen.Sockets = append(seen.Sockets, seenSocket{name, s.namespace, s.workload.String(), s.process.Name, s.process.PID, s.Inode, s.state})
		}
	}
	for _, f := range result.Faults {
		seen.Faults = append(seen.Faults, f.Object+": "+f.Err.Error())
	}
	_ = json.NewEncoder(os.Stdout).Encode(seen)
}

func fresh(c *Config) (*probe, probes.Result, error) {
	hosts, err := host.New(host.Options{})
	if err != nil {
		return nil, probes.Result{}, err
	}
	p := newProbe(c, hosts.For("port"))
	result, err := p.Run(context.Background())
	return p, result, err
}

func totals(r probes.Result) map[string]float64 {
	all := map[string]float64{}
	for _, s := range r.Samples {
		if s.Metric == attribution || s.Metric == namespaceCount {
			all[s.Metric.Name+" "+s.Labels[0]] = s.Value
		}
	}
	return all
}

// shell runs a program that must succeed.
func shell(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

func netns(t testing.TB, name string) {
	t.Helper()
	shell(t, "ip", "netns", "add", name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	shell(t, "ip", "-n", name, "link", "set", "lo", "up")
}

// cgroupTop is where the cgroups of version 2 are mounted.
func cgroupTop(t testing.TB) string {
	t.Helper()
	for _, top := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(top + "/cgroup.controllers"); err == nil {
			return top
		}
	}
	t.Fatal("there are no cgroups of version 2")
	return ""
}

// cgroup makes a cgroup and returns its directory.
func cgroup(t testing.TB, path string) *os.File {
	t.Helper()
	top := cgroupTop(t)
	if err := os.MkdirAll(filepath.Join(top, path), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for dir := path; dir != "."; dir = filepath.Dir(dir) {
			_ = os.Remove(filepath.Join(top, dir))
		}
	})
	dir, err := os.Open(filepath.Join(top, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

// A service is a process that listens.
type liveService struct {
	namespace string
	cgroup    string
	uid       uint32
	listen    []string
	cmd       *exec.Cmd
}

// start starts a service, and waits until it listens.
func (s *liveService) start(t testing.TB, binary string) {
	t.Helper()
	argv := []string{binary}
	if s.namespace != "" {
		argv = slices.Concat([]string{"nsenter", "--net=/run/netns/" + s.namespace}, argv)
	}
	if s.uid > 0 {
		argv = slices.Concat([]string{"setpriv", fmt.Sprintf("--reuid=%d", s.uid), "--clear-groups"}, argv)
		if s.namespace != "" {
			argv = slices.Concat([]string{"nsenter", "--net=/run/netns/" + s.namespace}, argv[:3], []string{binary})
		}
	}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Env = append(os.Environ(), roleEnv+"=listen "+strings.Join(s.listen, " "))
	if s.cgroup != "" {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup(t, s.cgroup).Fd())}
	}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = s.cmd.Wait() })
	answer := make([]byte, 200)
	n, _ := out.Read(answer)
	if got := strings.TrimSpace(string(answer[:n])); got != "ready" {
		t.Fatalf("the service says %q", got)
	}
}

// copyOfUs copies the test binary to where every user can run it, under the name
// of a program.
func copyOfUs(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hygiene")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	path := filepath.Join(dir, name)
	if err == nil {
		err = os.WriteFile(path, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var holder = regexp.MustCompile(`\("([^"]*)",pid=(\d+)`)

// ssHolders is what ss says of the processes that hold sockets, by inode.
func ssHolders(t testing.TB, namespace string) map[uint64][]string {
	argv := []string{"ss", "-H", "-O", "-l", "-t", "-u", "-n", "-p", "-e"}
	if namespace != "" {
		argv = slices.Concat([]string{"nsenter", "--net=/run/netns/" + namespace}, argv)
	}
	holders := map[uint64][]string{}
	for line := range strings.Lines(shell(t, argv...)) {
		inode := uint64(0)
		for field := range strings.FieldsSeq(line) {
			if text, ok := strings.CutPrefix(field, "ino:"); ok {
				inode, _ = strconv.ParseUint(text, 10, 64)
			}
		}
		holders[inode] = []string{}
		for _, match := range holder.FindAllStringSubmatch(line, -1) {
			holders[inode] = append(holders[inode], match[1]+" "+match[2])
		}
	}
	return holders
}

// Services in cgroups as systemd, docker and kubelet make them, in the namespace
// of the host and in others, seen with each set of rights: the names of objects
// are ours to choose, the processes must be those of ss -p.
func TestLiveListenersBelongToWhomSSSays(t *testing.T) {
	program := copyOfUs(t, "livesrv")
	const id = "3f4e8a0e6a9c5b1d2e7f80912a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"
	for _, name := range []string{"hygiene-red", "hygiene-blue"} {
		netns(t, name)
	}
	many := func(network, host string, n int) (list []string) {
		for range n {
			list = append(list, network+"/"+host+":0")
		}
		return list
	}
	services := []*liveService{
		{cgroup: "hygiene-test.slice/app.service", listen: append(many("tcp4", "127.0.0.1", 60), "tcp4/127.0.0.77:7777")},
		{cgroup: "hygiene-test.slice/app@two.service", uid: 65534, listen: append(many("udp6", "[::1]", 40), "tcp6/[::1]:7778")},
		{cgroup: "hygiene-test.slice/docker-" + id + ".scope", namespace: "hygiene-red", listen: append(many("tcp", "", 60), "tcp4/0.0.0.0:80")},
		{cgroup: "hygiene-test.slice/inner.service", namespace: "hygiene-blue", uid: 65534, listen: append(many("udp4", "0.0.0.0", 40), "tcp/:8081")},
		{namespace: "hygiene-blue", listen: []string{"tcp/:8082"}},
	}
	for _, s := range services {
		s.start(t, program)
	}
	want := map[string]string{ // object of the named port: unit
		"tcp/loopback:7777@app.service":                        "app.service",
		"tcp/loopback:7778@app@two.service":                    "app@two.service",
		"hygiene-red/tcp/wildcard_v4:80@" + id[:12]:            id[:12],
		"hygiene-blue/tcp/wildcard:8081@inner.service":         "inner.service",
		"hygiene-blue/tcp/wildcard:8082":                       "",
		"hygiene-blue/udp/wildcard_v4:ephemeral@inner.service": "inner.service",
		"hygiene-red/tcp/wildcard:ephemeral@" + id[:12]:        id[:12],
	}
	for _, step := range []struct {
		name    string
		uid     uint32
		caps    []uintptr
		process bool // of others
		inside  bool // other namespaces by netlink
		named   bool // namespaces
	}{
		{"as root", 0, nil, true, true, true},
		{"as nobody", 65534, nil, false, false, false},
		{"as nobody with CAP_SYS_PTRACE", 65534, []uintptr{unix.CAP_SYS_PTRACE}, false, false, true},
		{"as nobody with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", 65534, []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}, true, false, true},
		{"as nobody with CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_SYS_ADMIN", 65534, []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_ADMIN}, true, true, true},
	} {
		t.Run(step.name, func(t *testing.T) {
			cmd := exec.Command(program)
			cmd.Env = append(os.Environ(), roleEnv+"=look")
			cmd.Stderr = os.Stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: step.uid, Gid: step.uid}, AmbientCaps: step.caps}
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var seen seenHost
			if err := json.Unmarshal(out, &seen); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			objects, byInode := map[string]string{}, map[uint64]seenSocket{}
			for _, s := range seen.Sockets {
				objects[s.Object] = s.Unit
				byInode[s.Inode] = s
			}
			checked, processes := 0, 0
			for _, namespace := range []string{"", "hygiene-red", "hygiene-blue"} {
				for inode, holders := range ssHolders(t, namespace) {
					s, known := byInode[inode]
					if len(holders) == 0 || !strings.HasPrefix(holders[0], "livesrv ") {
						continue // not ours: others come and go
					}
					checked++
					switch {
					case !known:
						t.Errorf("%q: the socket %d of %q is missing", namespace, inode, holders)
					case s.State == process.Found:
						processes++
						if !slices.Contains(holders, fmt.Sprintf("%s %d", s.Process, s.PID)) {
							t.Errorf("%q: the socket %d is held by %q; we say %s %d", namespace, inode, holders, s.Process, s.PID)
						}
					case step.process:
						t.Errorf("%q: the process of the socket %d is not known: %+v", namespace, inode, s)
					}
				}
			}
			if checked < 205 {
				t.Errorf("%d sockets were compared; want all", checked)
			}
			for object, unit := range want {
				if !step.named || !step.inside && strings.Contains(object, "hygiene-") && strings.Contains(object, "@") && !step.process {
					continue // the name of the namespace, or the cgroup, cannot be seen
				}
				if got, known := objects[object]; !known || got != unit {
					t.Errorf("the object %s is known %t with the unit %q; want %q", object, known, got, unit)
				}
			}
			if len(seen.Faults) > 0 || seen.Totals["hygiene_port_namespaces skipped"] > 0 || seen.Totals["hygiene_port_namespaces inspected"] < 3 {
				t.Errorf("faults %q, totals %v", seen.Faults, seen.Totals)
			}
			t.Logf("%d sockets as ss says, %d of them with their process; %v", checked, processes, seen.Totals)
		})
	}
}

// The whole story of one listener, and what changes when its program does.
func TestLiveExplanationTellsTheWholeStory(t *testing.T) {
	program := copyOfUs(t, "livesrv")
	service := &liveService{cgroup: "hygiene-test.slice/story.service", listen: []string{"tcp4/127.0.0.78:7779"}}
	service.start(t, program)
	const object = "tcp/loopback:7779@story.service"
	tell := func(want ...string) {
		t.Helper()
		p, _, err := fresh(defaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.Explain(context.Background(), object)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("it lacks %q:\n%s", part, text)
			}
		}
	}
	pid := strings.TrimSpace(shell(t, "cat", filepath.Join(cgroupTop(t), service.cgroup, "cgroup.procs")))
	tell("reached by   processes of this host\n", "belongs to   story.service\n", "first seen   20", "policy       there is none for it\n",
		"finding      executable_unpackaged\n", "tcp 127.0.0.78:7779, opened by root\n", "  process      "+pid+" livesrv, run by root\n",
		"  program      "+program+"\n", "  package      none owns it\n", fmt.Sprintf("(%d) → livesrv(%s)\n", os.Getpid(), pid))
	if err := os.Chmod(program, 0o757); err != nil {
		t.Fatal(err)
	}
	tell("finding      executable_writable\n")
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	tell("finding      executable_deleted\n", "the file was removed since the start\n")
	if err := os.WriteFile(program, []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	tell("finding      executable_replaced\n", "another file has taken its place since the start\n")
}

// Thousands of listeners open and close each second, on ports that never come
// to rest, while two hundred stay: each run must see all that stay, and nothing
// that was never there.
func TestLiveChurnHidesAndInventsNothing(t *testing.T) {
	const staying, runs = 200, 60
	stay := map[string]bool{}
	inodes := sync.Map{} // of every socket that ever was
	note := func(l any) {
		raw, err := l.(syscall.Conn).SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				var st unix.Stat_t
				if unix.Fstat(int(fd), &st) == nil {
					inodes.Store(st.Ino, true)
				}
			})
		}
		if err != nil {
			t.Error(err)
		}
	}
	for i := range staying {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.%d.1:%d", i%4, 12000+i))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		note(l)
		stay[fmt.Sprintf("tcp/loopback:%d", 12000+i)] = true
	}
	stop := make(chan struct{})
	var (
		workers sync.WaitGroup
		opened  atomic.Int64
	)
	for w := range 4 {
		workers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				l, err := net.Listen("tcp4", fmt.Sprintf("127.1.%d.1:%d", w, 20000+i%4000))
				if err != nil {
					continue
				}
				note(l)
				opened.Add(1)
				l.Close()
			}
		})
	}
	c := defaultConfig()
	c.Processes = false
	p, _, err := fresh(c)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for run := range runs {
		result, err := p.Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, s := range result.Samples {
			if s.Metric == listenerInfo {
				there[s.Object()] = true
			}
		}
		for object := range stay {
			if !there[object] {
				t.Errorf("run %d misses %s", run, object)
			}
		}
		for _, o := range p.objects {
			for _, s := range o.sockets {
				_, ours := inodes.Load(s.Inode)
				if s.Protocol == listeners.TCP && strings.HasPrefix(s.address(), "127.1.") && !ours {
					// It may have been seen between its opening and our note of it.
					time.AfterFunc(time.Second, func() {
						if _, ours := inodes.Load(s.Inode); !ours {
							t.Errorf("%s with the inode %d was never there", s.address(), s.Inode)
						}
					})
				}
			}
		}
		for _, gone := range result.Removed {
			if stay[gone] {
				t.Errorf("run %d says that %s is gone", run, gone)
			}
		}
	}
	rate := float64(opened.Load()) / time.Since(start).Seconds()
	close(stop)
	workers.Wait()
	time.Sleep(1100 * time.Millisecond) // the last doubts are settled
	if rate < 1000 {
		t.Errorf("%.0f listeners were opened and closed each second; want thousands", rate)
	}
	t.Logf("%d runs among %.0f listeners opened and closed each second; %v changes", runs, rate, p.events)
}
