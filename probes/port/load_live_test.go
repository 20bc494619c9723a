//go:build live

package port

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

// hold makes connections to itself, or listeners, says so, and keeps them.
func hold(argument string) {
	f := strings.Fields(argument) // address, connections, listeners
	last, _ := strconv.Atoi(f[0])
	connections, _ := strconv.Atoi(f[1])
	listening, _ := strconv.Atoi(f[2])
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 20000, Max: 20000})
	listen := func(port int) (int, *unix.SockaddrInet4) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		at := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, byte(last)}}
		if err == nil {
			err = unix.Bind(fd, at)
		}
		if err == nil {
			err = unix.Listen(fd, 4096)
		}
		if err != nil {
			panic(err)
		}
		return fd, at
	}
	for i := range listening {
		listen(10000 + i)
	}
	if connections > 0 {
		server, at := listen(7000)
		for range connections {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err == nil {
				err = unix.Connect(fd, at)
			}
			if err == nil {
				_, _, err = unix.Accept(server)
			}
			if err != nil {
				panic(err)
			}
		}
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// A cost is what one poll takes.
type cost struct{ Wall, CPU time.Duration }

func (c cost) String() string {
	return fmt.Sprintf("%9.3f ms, %9.3f ms of CPU, %.4f %% of a core at 5 s", c.Wall.Seconds()*1e3, c.CPU.Seconds()*1e3, c.CPU.Seconds()/5*100)
}

func own() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func timed(n int, f func()) cost {
	wall, cpu := time.Now(), own()
	for range n {
		f()
	}
	return cost{time.Since(wall) / time.Duration(n), (own() - cpu) / time.Duration(n)}
}

// measured is what one process finds out about itself.
type measured struct {
	Listing, Without, First, Steady cost
	Objects                         int
}

func measure() {
	var m measured
	c := defaultConfig()
	c.Processes = false
	p, _, err := fresh(c)
	if err != nil {
		panic(err)
	}
	run := func(p *probe) {
		if _, err := p.Run(context.Background()); err != nil {
			panic(err)
		}
	}
	view := p.source.Own()
	m.Listing = timed(50, func() {
		if _, err := view.List(context.Background(), "tcp"); err != nil {
			panic(err)
		}
	})
	m.Without = timed(50, func() { run(p) })
	m.Objects = len(p.objects)
	c = defaultConfig()
	c.Timeout = probes.Duration(time.Minute) // how long it takes if it may
	c.ProcessBudget = c.Timeout / 2
	m.First = timed(1, func() { p, _, _ = fresh(c) })
	m.Steady = timed(50, func() { run(p) })
	_ = json.NewEncoder(os.Stdout).Encode(m)
}

func scrape(address string) {
	start := time.Now()
	for range 5 {
		response, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if !strings.Contains(string(body), "node_tcp_connection_states") {
			panic("no states")
		}
	}
	fmt.Println((time.Since(start) / 5).Nanoseconds())
}

// A world is a host of its own: network, processes and mounts. Its processes are
// the only ones that are looked through, and its first one lives in its network.
type world struct{ init string }

func newWorld(t *testing.T, network string) world {
	t.Helper()
	netns(t, network)
	cmd := exec.Command("nsenter", "--net=/run/netns/"+network, "unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "sleep", "900")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 1000 {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		child := strings.TrimSpace(string(children))
		if comm, _ := os.ReadFile("/proc/" + child + "/comm"); strings.TrimSpace(string(comm)) == "sleep" {
			return world{child}
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the world has no first process")
	return world{}
}

// run prepares a role of this binary, or a program, in the world.
func (w world) run(role string, argv ...string) *exec.Cmd {
	if role != "" {
		argv = []string{"/proc/self/exe"}
		if path, err := os.Executable(); err == nil {
			argv[0] = path
		}
	}
	cmd := exec.Command("nsenter", append([]string{"--target=" + w.init, "--net", "--pid", "--mount"}, argv...)...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

func (w world) stay(t *testing.T, argument string) {
	t.Helper()
	cmd := w.run("hold " + argument)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if n, _ := out.Read(make([]byte, 100)); n == 0 {
		t.Fatal("the connections were not made")
	}
}

// tool measures a program that is run to its end.
func (w world) tool(t *testing.T, n int, argv ...string) cost {
	t.Helper()
	var sum cost
	for range n {
		cmd := w.run("", argv...)
		start := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatalf("%q: %v", argv, err)
		}
		sum.Wall += time.Since(start)
		sum.CPU += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return cost{sum.Wall / time.Duration(n), sum.CPU / time.Duration(n)}
}

// Connections do not cost anything: one poll beside many of them, against the
// peers in the same run. HYGIENE_FULL=1 makes 100,000 connections.
func TestLiveCostBesideConnections(t *testing.T) {
	holders, each := 2, 2500
	if os.Getenv("HYGIENE_FULL") != "" {
		holders, each = 11, 9100
	}
	w := newWorld(t, "hygiene-load")
	w.stay(t, "1 0 1000")
	for i := range holders {
		w.stay(t, fmt.Sprintf("%d %d 0", i+2, each))
	}
	out, err := w.run("measure").Output()
	if err != nil {
		t.Fatal(err)
	}
	var m measured
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if m.Objects < 1000 {
		t.Errorf("%d objects; want those of 1,000 listeners", m.Objects)
	}
	ss, ssp := w.tool(t, 5, "ss", "-H", "-l", "-t", "-n"), w.tool(t, 2, "ss", "-H", "-l", "-t", "-n", "-p")
	t.Logf("%d connections (%d sockets), 1,000 listeners", holders*each, 2*holders*each)
	t.Logf("list of TCP listeners     %s", m.Listing)
	t.Logf("poll without processes    %s", m.Without)
	t.Logf("poll with processes       %s", m.Steady)
	t.Logf("first poll, all processes %s", m.First)
	t.Logf("ss -ltn                   %s", ss)
	t.Logf("ss -ltnp                  %s", ssp)
	peer := w.peerTCPStat(t)
	t.Logf("node_exporter, tcpstat    %s", peer)
	t.Logf("ratios of CPU: poll with processes / ss -ltnp %.4f, / tcpstat %.4f; list / ss -ltn %.4f",
		ratio(m.Steady, ssp), ratio(m.Steady, peer), ratio(m.Listing, ss))
}

func ratio(a, b cost) float64 { return a.CPU.Seconds() / b.CPU.Seconds() }

// peerTCPStat measures a scrape of the node exporter with nothing but tcpstat.
func (w world) peerTCPStat(t *testing.T) cost {
	t.Helper()
	const address = "127.0.0.1:9100"
	cmd := w.run("", "prometheus-node-exporter", "--collector.disable-defaults", "--collector.tcpstat", "--web.listen-address="+address)
	cmd.Stderr = nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 100 {
		if w.run("", "ss", "-H", "-l", "-t", "-n", "sport", "=", ":9100").Run() == nil {
			if _, err := silently(w.run("scrape " + address)).Output(); err == nil {
				break
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	pid := childOf(t, cmd.Process.Pid)
	before := cpuOf(t, pid)
	out, err := w.run("scrape " + address).Output()
	if err != nil {
		t.Fatal(err)
	}
	wall, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return cost{time.Duration(wall), (cpuOf(t, pid) - before) / 5}
}

func silently(cmd *exec.Cmd) *exec.Cmd {
	cmd.Stderr = nil
	return cmd
}

// childOf returns the only child of a process: what nsenter runs in another
// namespace of processes.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	child, err2 := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	t.Cleanup(func() { _ = unix.Kill(child, unix.SIGKILL) })
	return child
}

// cpuOf returns the time that a process has used, in ticks of 10 ms.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
