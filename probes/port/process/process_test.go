package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
)

// listen opens a listener and returns the inode of its socket.
func listen(t *testing.T) (uint64, func()) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := raw.Control(func(fd uintptr) { err = syscall.Fstat(int(fd), &st) }); err != nil {
		t.Fatal(err)
	}
	return st.Ino, func() { l.Close() }
}

func TestAFinderFindsUs(t *testing.T) {
	t.Parallel()
	inode, closeIt := listen(t)
	self := func() []int { return []int{os.Getpid()} }
	f := NewFinder(rootfs.New(rootfs.Paths{}))
	const nobody = 1 << 40
	sockets := []Socket{{Inode: inode, Near: self}, {Inode: nobody}, {Inode: 0}}
	f.Find(t.Context(), sockets, time.Minute)
	p, state := f.Process(inode)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if state != Found || p.PID != os.Getpid() || p.Executable != executable || p.UID != uint32(os.Geteuid()) || p.Deleted || p.Replaced || p.Writable {
		t.Errorf("%+v, %v; want this process, %s", p, state, executable)
	}
	if _, state := f.Process(nobody); state != Nobody && state != Hidden {
		t.Errorf("the state of a socket of nobody is %v", state)
	}
	if _, state := f.Process(0); state != Pending {
		t.Errorf("the state of what is no socket is %v", state)
	}

	// What is known is believed for a while, and no longer.
	closeIt()
	f.Find(t.Context(), sockets, time.Minute)
	if _, state := f.Process(inode); state != Found {
		t.Errorf("at once the state is %v", state)
	}
	f.known[inode].at = time.Now().Add(-2 * recheck)
	f.Find(t.Context(), sockets, time.Minute)
	if p, state := f.Process(inode); state == Found {
		t.Errorf("a socket that was closed is still held by %+v", p)
	}
	f.Find(t.Context(), nil, time.Minute)
	if len(f.known) > 0 {
		t.Errorf("it remembers %v", f.known)
	}
}

func TestASearchGoesOnInTheNextRun(t *testing.T) {
	t.Parallel()
	inode, _ := listen(t)
	f := NewFinder(rootfs.New(rootfs.Paths{}))
	f.Find(t.Context(), []Socket{{Inode: inode}}, 0)
	if _, state := f.Process(inode); state != Pending {
		t.Errorf("without any time the state is %v", state)
	}
	for range 10_000 {
		f.Find(t.Context(), []Socket{{Inode: inode}}, time.Millisecond)
		if p, state := f.Process(inode); state == Found {
			if p.PID != os.Getpid() {
				t.Errorf("held by %+v", p)
			}
			return
		}
	}
	t.Error("it is never found")
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, root, name, target string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestAProgramMayHaveChangedSinceItsStart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(root string)
		want    Process
	}{
		{"it is as it was", func(root string) {
			write(t, root, "usr/bin/app", "1")
			link(t, root, "proc/7/exe", "/usr/bin/app")
		}, Process{Executable: "/usr/bin/app"}},
		{"another user's cannot be seen", func(string) {}, Process{}},
		{"it was removed", func(root string) {
			link(t, root, "proc/7/exe", "/usr/bin/app (deleted)")
		}, Process{Executable: "/usr/bin/app", Deleted: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, "proc/7/comm", "app\n")
			link(t, root, "proc/7/root", "/")
			test.prepare(root)
			got, err := Look(rootfs.New(rootfs.Paths{Root: root}), 7)
			if err != nil {
				t.Fatal(err)
			}
			test.want.PID, test.want.Name, test.want.UID = 7, "app", uint32(os.Geteuid())
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParentsLeadToTheFirstProcess(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/1/comm": "init\n", "proc/1/stat": "1 (init) S 0 1 1",
		"proc/7/comm": "a) b (\n", "proc/7/stat": "7 (a) b () S 1 7 7",
		"proc/9/comm": "app\n", "proc/9/stat": "9 (app) S 7 9 9", "proc/9/cmdline": "app\x00--port\x0080\x00",
	} {
		write(t, root, name, text)
	}
	files := rootfs.New(rootfs.Paths{Root: root})
	var names []string
	for _, p := range Parents(files, 9) {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"init", "a) b (", "app"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Line(files, 9); got != "app --port 80" {
		t.Errorf("its command line is %q", got)
	}
}

func TestPackagesOwnPrograms(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "var/lib/dpkg/status", "")
	write(t, root, "var/lib/dpkg/info/openssh-server.list", "/.\n/usr\n/usr/sbin\n/usr/sbin/sshd\n")
	write(t, root, "var/lib/dpkg/info/libc6:amd64.list", "/lib64/ld-linux.so\n")
	write(t, root, "var/lib/dpkg/info/old.list", "/bin/old\n")
	p := NewPackages(rootfs.New(rootfs.Paths{Root: root}))
	programs := []string{"/usr/sbin/sshd", "/usr/bin/old", "/opt/app", "/usr/lib64/ld-linux.so", ""}
	learn(t, p, programs)
	want := map[string]Origin{
		"/usr/sbin/sshd": {"openssh-server", true}, "/usr/bin/old": {"old", true}, "/opt/app": {"", true},
		"/usr/lib64/ld-linux.so": {"libc6", true}, "": {}, "/never/asked": {},
	}
	for program, origin := range want {
		if got := p.Of(program); got != origin {
			t.Errorf("%q is of %+v; want %+v", program, got, origin)
		}
	}
	// Another package brings the file along.
	write(t, root, "var/lib/dpkg/info/app.list", "/opt/app\n")
	write(t, root, "var/lib/dpkg/status", "Package: app\n")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(root, "var/lib/dpkg/status"), later, later); err != nil {
		t.Fatal(err)
	}
	learn(t, p, programs)
	if got := p.Of("/opt/app"); got != (Origin{"app", true}) {
		t.Errorf("after the installation it is of %+v", got)
	}
	rpm := NewPackages(rootfs.New(rootfs.Paths{Root: t.TempDir()}))
	learn(t, rpm, programs)
	if rpm.Of("/opt/app").Known {
		t.Errorf("without dpkg it is of %+v", rpm.Of("/opt/app"))
	}
}

// learn lets a reading take as many steps as it needs, none of which has any
// time.
func learn(t *testing.T, p *Packages, programs []string) {
	t.Helper()
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if done, err := p.Learn(late, programs); err != nil || done && p.reading != nil {
		t.Errorf("without time: %t, %v", done, err)
	}
	if done, err := p.Learn(t.Context(), programs); err != nil || !done {
		t.Errorf("with time: %t, %v", done, err)
	}
}

// FuzzParent: whatever a process is called, its parent is read behind its name.
func FuzzParent(f *testing.F) {
	f.Add("app", 1)
	f.Add("a) b (", 4711)
	f.Add(") 1 ) 2", 7)
	f.Fuzz(func(t *testing.T, name string, parent int) {
		if parent < 0 {
			return
		}
		if got := parseParent(fmt.Appendf(nil, "9 (%s) S %d 9 9", name, parent)); got != parent {
			t.Errorf("the parent of %q is %d; want %d", name, got, parent)
		}
		parseParent([]byte(name))
	})
}
