package rootfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/internal/rootfs"
)

// plant builds a host below a new root: a value that starts with "-> " makes a
// symbolic link, a path that ends with a slash a directory.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		real := filepath.Join(root, path)
		must(t, os.MkdirAll(filepath.Dir(real), 0o755))
		target, isLink := strings.CutPrefix(content, "-> ")
		switch {
		case isLink:
			must(t, os.Symlink(target, real))
		case strings.HasSuffix(path, "/"):
			must(t, os.MkdirAll(real, 0o755))
		default:
			must(t, os.WriteFile(real, []byte(content), 0o644))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheAgentsOwnRoot(t *testing.T) {
	t.Parallel()
	host := rootfs.New(rootfs.Paths{})
	dir := plant(t, map[string]string{"real": "content", "link": "-> real"})
	dir, err := filepath.EvalSymlinks(dir)
	must(t, err)
	if data, err := host.ReadFile(dir+"/link", 7); err != nil || string(data) != "content" {
		t.Errorf("ReadFile = %q, %v", data, err)
	}
	if got, err := host.Resolve(dir + "/link"); err != nil || got != dir+"/real" {
		t.Errorf("Resolve = %q, %v; want %q", got, err, dir+"/real")
	}
	own, err := os.Executable()
	must(t, err)
	own, err = filepath.EvalSymlinks(own)
	must(t, err)
	if got, err := host.Resolve("/proc/self/exe"); err != nil || got != own {
		t.Errorf("Resolve(/proc/self/exe) = %q, %v; want %q", got, err, own)
	}
	if data, err := host.ReadFile("/proc/self/status", 1<<20); err != nil || len(data) == 0 {
		t.Errorf("a file of procfs, whose size is 0, reads as %q, %v", data, err)
	}
	if data, err := host.ReadFile("/proc/self/root"+dir+"/link", 7); err != nil || string(data) != "content" {
		t.Errorf("below the root of a process ReadFile = %q, %v", data, err)
	}
}

func TestDescribingPaths(t *testing.T) {
	t.Parallel()
	host := rootfs.New(rootfs.Paths{Root: plant(t, map[string]string{
		"d/b": "12345", "d/a": "-> /d/b", "d/c/": "", "e": "-> d",
	})})
	entries, err := host.ReadDir("/e")
	must(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Errorf("ReadDir (-want +got):\n%s", diff)
	}
	if info, err := host.Stat("/e/a"); err != nil || info.Size() != 5 || !info.Mode().IsRegular() {
		t.Errorf("Stat follows links: %v, %v", info, err)
	}
	if info, err := host.Lstat("/e/a"); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("Lstat does not follow the last link: %v, %v", info, err)
	}
	if target, err := host.Readlink("/e/a"); err != nil || target != "/d/b" {
		t.Errorf("Readlink = %q, %v; want the text of the link", target, err)
	}
}

func TestWhatIsNoFileIsNotOpened(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	host := rootfs.New(rootfs.Paths{Root: root})
	must(t, unix.Mkfifo(root+"/fifo", 0o666))
	must(t, os.Symlink("/fifo", root+"/link"))
	must(t, os.Mkdir(root+"/directory", 0o755))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: root + "/socket", Net: "unix"})
	must(t, err)
	defer listener.Close()
	for _, path := range []string{"/fifo", "/link", "/directory", "/socket"} {
		if data, err := host.ReadFile(path, 10); !errors.Is(err, rootfs.ErrNotRegular) {
			t.Errorf("ReadFile(%q) = %q, %v; want %v", path, data, err, rootfs.ErrNotRegular)
		}
	}
	for _, path := range []string{"/fifo", "/socket"} {
		if _, err := host.ReadDir(path); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("ReadDir(%q) = %v; want %v", path, err, syscall.ENOTDIR)
		}
	}
	own := rootfs.New(rootfs.Paths{})
	for _, path := range []string{"/dev/zero", "/dev/null"} {
		if data, err := own.ReadFile(path, 10); !errors.Is(err, rootfs.ErrNotRegular) {
			t.Errorf("ReadFile(%q) = %q, %v; want %v", path, data, err, rootfs.ErrNotRegular)
		}
	}
}

// A file that turns into a FIFO between the look and the open must not block
// the agent. Nobody ever opens the other end here, so a blocking open would
// hang the test.
func TestAFileSwappedForAFIFODoesNotBlock(t *testing.T) {
	t.Parallel()
	root := plant(t, map[string]string{"file": "content"})
	must(t, unix.Mkfifo(root+"/fifo", 0o666))
	host := rootfs.New(rootfs.Paths{Root: root})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, root+"/file", unix.AT_FDCWD, root+"/fifo", unix.RENAME_EXCHANGE)
			}
		}
	}()
	for range 5000 {
		data, err := host.ReadFile("/file", 10)
		if err == nil && string(data) != "content" || err != nil && !errors.Is(err, rootfs.ErrNotRegular) {
			t.Errorf("ReadFile = %q, %v", data, err)
			break
		}
	}
	close(stop)
	<-stopped
}

func TestSizeLimit(t *testing.T) {
	t.Parallel()
	root := plant(t, map[string]string{"ten": "0123456789", "huge": "", "empty": ""})
	must(t, os.Truncate(root+"/huge", 1<<40))
	host := rootfs.New(rootfs.Paths{Root: root})
	for _, test := range []struct {
		name, path string
		limit      int64
		size       int
		err        error
	}{
		{name: "a file of just the limit is read", path: "/ten", limit: 10, size: 10},
		{name: "one byte more is too large", path: "/ten", limit: 9, err: rootfs.ErrTooLarge},
		{name: "a terabyte is too large and is not read", path: "/huge", limit: 100, err: rootfs.ErrTooLarge},
		{name: "an empty file fits into nothing", path: "/empty", limit: 0, size: 0},
		{name: "the greatest limit does not wrap around", path: "/ten", limit: 1<<63 - 1, size: 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			data, err := host.ReadFile(test.path, test.limit)
			if !errors.Is(err, test.err) || len(data) != test.size {
				t.Errorf("ReadFile = %d bytes, %v; want %d bytes, %v", len(data), err, test.size, test.err)
			}
		})
	}
}

// unprivileged runs f without the right to read everything, which tests that
// run as root otherwise have.
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
		if err := unix.Setfsuid(65534); err != nil {
			t.Errorf("setfsuid: %v", err)
			return
		}
		f()
	}()
	<-done
}

func TestErrorsNameThePathOfTheHostOnce(t *testing.T) {
	t.Parallel()
	root := plant(t, map[string]string{
		"etc/key": "secret", "etc/closed/key": "secret", "link": "-> /etc/closed/key",
		"loop": "-> loop", "fits": "too long",
	})
	must(t, os.Chmod(filepath.Dir(root), 0o755)) // made by testing for its own user alone
	must(t, os.Chmod(root+"/etc/key", 0))
	must(t, os.Chmod(root+"/etc/closed", 0))
	t.Cleanup(func() { must(t, os.Chmod(root+"/etc/closed", 0o755)) })
	host := rootfs.New(rootfs.Paths{Root: root})
	read := func(path string) error { _, err := host.ReadFile(path, 3); return err }
	unprivileged(t, func() {
		for _, test := range []struct {
			name string
			call func() error
			want string
			is   error
		}{
			{"a missing file", func() error { return read("/etc/none") }, "open /etc/none: no such file or directory", fs.ErrNotExist},
			{"an unreadable file", func() error { return read("/etc/key") }, "open /etc/key: permission denied", fs.ErrPermission},
			{"an unreadable directory", func() error { return read("/etc/closed/key") }, "open /etc/closed/key: permission denied", fs.ErrPermission},
			{"a link into it", func() error { return read("/link") }, "open /link: permission denied", fs.ErrPermission},
			{"a large file", func() error { return read("/fits") }, "read /fits: file is too large", rootfs.ErrTooLarge},
			{"a directory", func() error { return read("/etc") }, "open /etc: not a regular file", rootfs.ErrNotRegular},
			{"a listing", func() error { _, err := host.ReadDir("/etc/closed"); return err }, "readdir /etc/closed: permission denied", fs.ErrPermission},
			{"no directory", func() error { _, err := host.ReadDir("/fits"); return err }, "readdir /fits: not a directory", syscall.ENOTDIR},
			{"stat", func() error { _, err := host.Stat("/none"); return err }, "stat /none: no such file or directory", fs.ErrNotExist},
			{"lstat", func() error { _, err := host.Lstat("/loop/x"); return err }, "lstat /loop/x: too many levels of symbolic links", syscall.ELOOP},
			{"readlink", func() error { _, err := host.Readlink("/fits"); return err }, "readlink /fits: invalid argument", syscall.EINVAL},
			{"resolve", func() error { _, err := host.Resolve("/etc/closed/key"); return err }, "resolve /etc/closed/key: permission denied", fs.ErrPermission},
			{"a path that cannot be", func() error { return read("/a\x00b") }, "open /a\x00b: invalid argument", syscall.EINVAL},
		} {
			if err := test.call(); !errors.Is(err, test.is) || fmt.Sprint(err) != test.want {
				t.Errorf("%s: %v; want %s", test.name, err, test.want)
			}
		}
	})
}
