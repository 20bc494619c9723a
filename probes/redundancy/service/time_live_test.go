//go:build live

package service_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/probetest"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/service"
)

// unpacked is where test/packages.sh puts what cannot be installed beside chrony.
const unpacked = "/usr/local/share/hygiene-test"

// lab is a host in a network of its own, and another one with two servers of time,
// 192.0.2.2 and 192.0.2.3. No clock is set: the servers are told not to, and what
// asks them has no right to.
type lab struct {
	t       *testing.T
	root    string
	other   string // a process in the network of the servers
	servers []*exec.Cmd
}

func newLab(t *testing.T) *lab {
	t.Helper()
	runtime.LockOSThread() // it ends with the test, and with it the network
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, root: t.TempDir()}
	for _, dir := range []string{l.root, filepath.Dir(l.root)} { // everybody may see what is in it
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.other = fmt.Sprint(l.start("unshare", "--net", "sleep", "600").Process.Pid)
	l.until("there is another network", func() bool {
		here, _ := os.Readlink("/proc/thread-self/ns/net")
		there, err := os.Readlink("/proc/" + l.other + "/ns/net")
		return err == nil && here != there
	})
	l.run("ip", "link", "set", "lo", "up")
	l.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", l.other)
	l.run("ip", "addr", "add", "192.0.2.1/24", "dev", "near")
	l.run("ip", "link", "set", "near", "up")
	l.run("nsenter", "--net", "--target="+l.other, "ip", "link", "set", "far", "up")
	for _, address := range []string{"192.0.2.2", "192.0.2.3"} {
		l.run("nsenter", "--net", "--target="+l.other, "ip", "addr", "add", address+"/24", "dev", "far")
		name := l.write("server-"+address+".conf", "local stratum 5\nallow all\nbindaddress "+address+
			"\ncmdport 0\nbindcmdaddress /\npidfile "+filepath.Join(l.root, address+".pid")+"\n")
		l.servers = append(l.servers, l.start("nsenter", "--net", "--target="+l.other, "chronyd", "-x", "-d", "-u", "root", "-f", name))
	}
	return l
}

func (l *lab) run(argv ...string) {
	l.t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil { //nolint:noctx // it ends
		l.t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// start starts a program that is ended with the test.
func (l *lab) start(argv ...string) *exec.Cmd {
	l.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it is ended
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		l.end(cmd)
		if l.t.Failed() {
			l.t.Logf("%v said:\n%s", argv, said.String())
		}
	})
	return cmd
}

func (l *lab) end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

func (l *lab) write(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func (l *lab) until(what string, is func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("never: %s", what)
		}
	}
}

// read returns what the host says of its sources of time: each with a sign whether
// it is in use, or why nothing is known.
func (l *lab) read() string {
	world := probetest.World{Root: l.root}
	host := world.Host()
	host.Dial = (&net.Dialer{}).DialContext
	reading := service.Read(context.Background(), host)
	if err := reading.Closed[group.Time]; err != nil {
		return string(probes.ReasonOf(err))
	}
	var words []string
	for _, g := range reading.Groups {
		if g.Kind != group.Time {
			continue
		}
		words = append(words, g.Name)
		for _, m := range g.Members {
			words = append(words, map[bool]string{true: "+", false: "-"}[m.Active]+m.Name)
		}
	}
	return cmp.Or(strings.Join(words, " "), "nothing")
}

func (l *lab) says(want string) {
	l.t.Helper()
	got := ""
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if got = l.read(); got == want {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s, want %s", got, want)
		}
	}
}

// ntpd of NTPsec, and two servers of which one dies.
func TestLiveNTPd(t *testing.T) {
	l := newLab(t)
	const config = "disable ntp\ndisable kernel\nserver 192.0.2.2 minpoll 0 maxpoll 0 iburst\nserver 192.0.2.3 minpoll 0 maxpoll 0 iburst\n"
	ntpd := func(more string) *exec.Cmd {
		name := l.write("etc/ntpsec/ntp.conf", config+more)
		return l.start("setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time", filepath.Join(unpacked, "ntpsec/usr/sbin/ntpd"), "-n", "-c", name)
	}
	l.write("etc/ntpsec/ntp.conf", config)
	l.says("nothing") // it is installed, and does not run

	running := ntpd("restrict default noquery\nrestrict 127.0.0.1\n")
	l.says("ntp +192.0.2.2 +192.0.2.3")
	l.end(l.servers[0])
	l.says("ntp -192.0.2.2 +192.0.2.3")
	l.end(running)
	l.says("nothing")

	running = ntpd("restrict default noquery\n") // nobody may ask, and who asks gets no answer
	l.says("timeout")
	l.end(running)
}

// systemd-timesyncd says on a bus of its own what servers it asks.
func TestLiveTimesyncd(t *testing.T) {
	l := newLab(t)
	bus := "unix:path=" + filepath.Join(l.root, "bus")
	config := l.write("bus.conf", `<busconfig><type>system</type><listen>`+bus+`</listen><policy context="default">`+
		`<allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>`)
	l.start("dbus-daemon", "--nofork", "--config-file="+config)
	// ask returns a property as busctl writes it, without its type and quotes.
	ask := func(property string) string {
		out, _ := exec.Command("busctl", "--address="+bus, "get-property", "org.freedesktop.timesync1", //nolint:noctx // it ends
			"/org/freedesktop/timesync1", "org.freedesktop.timesync1.Manager", property).Output()
		return strings.ReplaceAll(strings.TrimSpace(string(out)), `"`, "")
	}
	if err := os.MkdirAll(filepath.Join(l.root, "run/systemd/timesync"), 0o777); err != nil {
		t.Fatal(err)
	}
	const mine = "[Time]\n#NTP=\nFallbackNTP=f.example g.example\n"
	for _, c := range []struct {
		name     string
		files    map[string]string // by name below /etc/systemd
		property string
		want     string
	}{
		{"those to fall back to", map[string]string{"timesyncd.conf": mine}, "FallbackNTPServers", "as 2 f.example g.example"},
		{"those of several files", map[string]string{
			"timesyncd.conf": mine, "timesyncd.conf.d/one.conf": "[Time]\nNTP=192.0.2.9\n", "timesyncd.conf.d/two.conf": "[Time]\nNTP=192.0.2.3 192.0.2.9\n",
		}, "SystemNTPServers", "as 2 192.0.2.9 192.0.2.3"},
	} {
		for name, content := range c.files {
			l.write("etc/systemd/"+name, content)
		}
		daemon := l.start("unshare", "--mount", "sh", "-c", `mount --bind "$1/etc/systemd" /etc/systemd && exec env DBUS_SYSTEM_BUS_ADDRESS="$2" `+
			`setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all "$3"`,
			"sh", l.root, bus, filepath.Join(unpacked, "systemd-timesyncd/lib/systemd/systemd-timesyncd"))
		l.until(c.name+" are told on the bus", func() bool { return ask(c.property) != "" })
		if got := ask(c.property); got != c.want {
			t.Errorf("%s: the daemon says %s, want %s", c.name, got, c.want)
		}
		want := "timesyncd"
		for _, server := range slices.Sorted(slices.Values(strings.Fields(c.want)[2:])) {
			want += " +" + server
		}
		if got := l.read(); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
		if c.property == "SystemNTPServers" { // the first does not answer
			l.until("the second is asked", func() bool { return ask("ServerName") == "s 192.0.2.3" })
		}
		l.end(daemon)
		l.until("it is gone from the bus", func() bool { return ask(c.property) == "" })
	}
}
