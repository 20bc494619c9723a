// Package process finds the processes that hold sockets, and what is to be
// known of them. Finding is expensive: every open file of every process may have
// to be looked at. So only sockets that are new are looked for, first where they
// should be, and never for longer than allowed; the rest goes on in the next run.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"hygiene_exporter/probes/internal/rootfs"
)

// A Process holds a socket.
type Process struct {
	PID  int
	Name string // of /proc/<pid>/comm
	// Executable is the path of the running program as its process sees it; empty
	// if it cannot be seen.
	Executable string
	// Deleted says that the program was removed since it was started, Replaced
	// that another file has taken its place.
	Deleted, Replaced bool
	// Writable says that every user can write to the file of the program.
	Writable bool
	UID      uint32 // effective, as the owner of /proc/<pid>
}

// Look describes a process. A field that cannot be read stays empty; an error
// means that there is no such process.
func Look(files *rootfs.FS, pid int) (Process, error) {
	p := Process{PID: pid}
	dir := fmt.Sprintf("/proc/%d", pid)
	info, err := files.Stat(dir)
	if err != nil {
		return p, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		p.UID = stat.Uid
	}
	comm, err := files.ReadFile(dir+"/comm", 4096)
	if err != nil {
		return p, err
	}
	p.Name = strings.TrimSuffix(string(comm), "\n")
	// The program of another user cannot be seen; a thread of the kernel has none.
	if target, err := files.Readlink(dir + "/exe"); err == nil {
		p.Executable, p.Deleted = strings.CutSuffix(target, " (deleted)")
		p.compare(files, dir)
	}
	return p, nil
}

// compare looks at the running file and at the one that stands in its place.
func (p *Process) compare(files *rootfs.FS, dir string) {
	running, err := files.Stat(dir + "/exe")
	if err != nil {
		return
	}
	const others = 0o002
	p.Writable = running.Mode().Perm()&others != 0
	now, err := files.Stat(dir + "/root" + p.Executable)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Deleted = true
	case err == nil && !same(running, now):
		p.Replaced, p.Deleted = true, false
	}
}

func same(a, b fs.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, fine := b.Sys().(*syscall.Stat_t)
	return !ok || !fine || x.Dev == y.Dev && x.Ino == y.Ino
}

// Line returns the command line of a process on one line, cut at 200 bytes.
func Line(files *rootfs.FS, pid int) string {
	data, err := files.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid), 1<<20)
	if err != nil {
		return ""
	}
	text := strings.TrimRight(strings.ReplaceAll(string(data), "\x00", " "), " ")
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return text
}

// Parents returns a process and those that started it, the first one first.
func Parents(files *rootfs.FS, pid int) []Process {
	var list []Process
	for pid > 0 && len(list) < 32 {
		p, err := Look(files, pid)
		if err != nil {
			break
		}
		list = append([]Process{p}, list...)
		pid = parent(files, pid)
	}
	return list
}

func parent(files *rootfs.FS, pid int) int {
	data, err := files.ReadFile(fmt.Sprintf("/proc/%d/stat", pid), 1<<16)
	if err != nil {
		return 0
	}
	return parseParent(data)
}

// parseParent reads the fourth field of /proc/<pid>/stat; the second is a name in
// parentheses that may hold anything.
func parseParent(data []byte) int {
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	number, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return number
}
