// Package rootfs reads files below a root that stands for the host, so that the
// agent can look at the host from inside a container and a test can supply a
// host of its own. Symbolic links, absolute ones too, resolve inside the root.
// Reading never blocks on a FIFO or a device and never reads more than allowed.
package rootfs

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// The errors that the operating system has no name for.
var (
	ErrTooLarge   = errors.New("file is too large")
	ErrNotRegular = errors.New("not a regular file")
)

// Paths says where the host is mounted. Empty fields mean "/", "/proc" below
// Root, and "/sys" below Root.
type Paths struct {
	Root string
	Proc string
	Sys  string
}

// An FS is the host's file system. Every path it takes and returns, in errors
// too, is an absolute path as the host sees it.
type FS struct {
	root, proc, sys string
}

// New returns the file system of a host. It touches nothing.
func New(paths Paths) *FS {
	root := filepath.Clean(cmp.Or(paths.Root, "/"))
	return &FS{
		root: root,
		proc: filepath.Clean(cmp.Or(paths.Proc, filepath.Join(root, "proc"))),
		sys:  filepath.Clean(cmp.Or(paths.Sys, filepath.Join(root, "sys"))),
	}
}

// Own reports whether all of the file system is the one that the agent itself
// lives in, so that programs of the host can be executed.
func (f *FS) Own() bool {
	return f.root == "/" && f.proc == "/proc" && f.sys == "/sys"
}

// Open opens a regular file for reading. Anything else, such as a FIFO, a
// socket or a device, is ErrNotRegular and is not opened: opening some devices
// has effects.
func (f *FS) Open(path string) (*os.File, error) {
	real, err := f.real(path)
	if err != nil {
		return nil, f.own("open", path, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, f.own("open", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, f.own("open", path, ErrNotRegular)
	}
	// The file may have been swapped since: O_NONBLOCK, and a second look.
	file, err := os.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, f.own("open", path, err)
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, errors.Join(f.own("open", path, err), file.Close())
	}
	return file, nil
}

// OpenDir opens a directory, to ask the kernel about it.
func (f *FS) OpenDir(path string) (*os.File, error) {
	real, err := f.real(path)
	if err != nil {
		return nil, f.own("open", path, err)
	}
	file, err := os.OpenFile(real, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	return file, f.own("open", path, err)
}

// ReadFile reads a whole regular file of at most limit bytes. A longer one,
// also one that grows without end while it is read, is ErrTooLarge.
func (f *FS) ReadFile(path string, limit int64) ([]byte, error) {
	if _, attribute := below(filepath.Clean("/"+path), "/sys"); attribute {
		return f.attribute(path, limit)
	}
	file, err := f.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, max(limit, limit+1))) // limit+1 may wrap
	if err == nil && int64(len(data)) > limit {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, f.own("read", path, err)
	}
	return data, nil
}

// attribute is ReadFile for sysfs, of which a host may have tens of thousands to
// read at a time: no more is asked of the kernel than it takes. What sysfs holds
// is a file or a directory, and opening one has no effect.
func (f *FS) attribute(path string, limit int64) (data []byte, err error) {
	real, err := f.real(path)
	if err != nil {
		return nil, f.own("open", path, err)
	}
	file, err := open(real)
	if err != nil {
		return nil, f.own("open", path, err)
	}
	defer func() { err = errors.Join(err, f.own("close", path, unix.Close(file))) }()
	var info unix.Stat_t
	if err := unix.Fstat(file, &info); err != nil {
		return nil, f.own("open", path, err)
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, f.own("open", path, ErrNotRegular)
	}
	for part := make([]byte, 4096); ; { // a page is the most that an attribute of text holds
		n, err := unix.Read(file, part)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, f.own("read", path, err)
		case n == 0:
			return data, nil
		}
		if data = append(data, part[:n]...); int64(len(data)) > limit {
			return nil, f.own("read", path, ErrTooLarge)
		}
	}
}

func open(path string) (file int, err error) {
	for {
		file, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if !errors.Is(err, unix.EINTR) {
			return file, err
		}
	}
}

// ReadDir lists a directory, sorted by name. Entries read before an error are
// returned with it.
func (f *FS) ReadDir(path string) ([]fs.DirEntry, error) {
	real, err := f.real(path)
	if err != nil {
		return nil, f.own("readdir", path, err)
	}
	entries, err := os.ReadDir(real)
	return entries, f.own("readdir", path, err)
}

// Stat describes what a path leads to.
func (f *FS) Stat(path string) (fs.FileInfo, error) {
	real, err := f.real(path)
	if err != nil {
		return nil, f.own("stat", path, err)
	}
	info, err := os.Stat(real)
	return info, f.own("stat", path, err)
}

// Lstat describes a path itself, and not what a last symbolic link leads to.
func (f *FS) Lstat(path string) (fs.FileInfo, error) {
	real, err := f.parent(path)
	if err != nil {
		return nil, f.own("lstat", path, err)
	}
	info, err := os.Lstat(real)
	return info, f.own("lstat", path, err)
}

// Readlink returns the text of a symbolic link, as it is written.
func (f *FS) Readlink(path string) (string, error) {
	real, err := f.parent(path)
	if err != nil {
		return "", f.own("readlink", path, err)
	}
	target, err := os.Readlink(real)
	return target, f.own("readlink", path, err)
}

// Resolve follows all symbolic links and returns the host's path of the
// target, which need not exist. A path below /proc/<pid>/root keeps that prefix:
// its links resolve inside the root of that process.
func (f *FS) Resolve(path string) (string, error) {
	resolved, err := f.resolve(filepath.Clean("/" + path))
	if err != nil {
		return "", f.own("resolve", path, err)
	}
	return resolved, nil
}

// real returns where a host's path is for the agent. On the agent's own root,
// and in procfs and sysfs, the kernel follows the links; elsewhere they must
// not leave the root.
func (f *FS) real(path string) (string, error) {
	path = filepath.Clean("/" + path)
	if top, _ := processRoot(path); top == "" {
		if real, ok := f.kernel(path); ok {
			return real, nil
		}
		if f.Own() {
			return path, nil
		}
	}
	resolved, err := f.resolve(path)
	return f.place(resolved), err
}

// parent is like real for everything but the last element, which is kept.
func (f *FS) parent(path string) (string, error) {
	dir, base := filepath.Split(filepath.Clean("/" + path))
	real, err := f.real(dir)
	return filepath.Join(real, base), err
}

// resolve follows the links of a clean host's path. What does not exist has no
// links.
func (f *FS) resolve(path string) (string, error) {
	top, rest := processRoot(path)
	if top == "" {
		top, rest = "/", path
	}
	return securejoin.SecureJoinVFS(top, rest, links{f})
}

// links are the symbolic links of a host, by its own paths.
type links struct{ files *FS }

func (l links) Lstat(path string) (fs.FileInfo, error) {
	return os.Lstat(l.files.place(filepath.Clean(path)))
}

func (l links) Readlink(path string) (string, error) {
	return os.Readlink(l.files.place(filepath.Clean(path)))
}

// place returns where the agent finds a host's path that holds no links.
func (f *FS) place(path string) string {
	if real, ok := f.kernel(path); ok {
		return real
	}
	return filepath.Join(f.root, path)
}

// kernel returns the place of a path of procfs or sysfs, which may be mounted
// elsewhere than the rest of the host.
func (f *FS) kernel(path string) (string, bool) {
	if rest, ok := below(path, "/proc"); ok {
		return f.proc + rest, true
	}
	if rest, ok := below(path, "/sys"); ok {
		return f.sys + rest, true
	}
	return "", false
}

// processRoot splits a path into the root of a process and what is below it.
// The kernel would follow an absolute link there into the root of the agent.
func processRoot(path string) (top, rest string) {
	parts := strings.SplitN(path, "/", 5) // "", proc, pid, root, rest
	if len(parts) == 5 && parts[1] == "proc" && parts[3] == "root" {
		return strings.Join(parts[:4], "/"), parts[4]
	}
	return "", ""
}

// below returns what follows a directory in a path, if the path is below it.
func below(path, dir string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, dir)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// own rewrites an error so that it names the host's path, once.
func (f *FS) own(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var inner *fs.PathError
	for errors.As(err, &inner) {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
