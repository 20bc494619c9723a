package reboot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// A Service is a unit of systemd, or what stands for one, with processes that
// execute code that is not on disk any more.
type Service struct {
	Unit      string
	Processes int
	Since     time.Time // when the first of the code was replaced
	Files     []string  // some of what was replaced
}

// Processes is what was seen of all processes.
type Processes struct {
	Services   []Service
	Inspected  int
	Unreadable int // of other users, where the agent may not look
	Containers int // of containers, which have code of their own
}

// codeDirs are where packages put code. What is deleted elsewhere was made by
// the process itself, as just-in-time compilers do.
var codeDirs = []string{"/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/bin/", "/sbin/", "/opt/"}

// ticks is the unit of times in /proc/PID/stat, on every architecture of Linux.
const ticks = 100

// maxMaps is more than the mappings of any process take.
const maxMaps = 32 << 20

// Outdated inspects all processes of the host. A process counts if it maps a
// file of code for execution that has been deleted, and the file in its place,
// or the directory if there is none, was changed after the process started.
// Memory files, shared memory and what lies in temporary directories do not
// count, and neither do processes of containers.
func Outdated(ctx context.Context, files *rootfs.FS) (Processes, error) {
	var seen Processes
	entries, err := files.ReadDir("/proc")
	if err != nil {
		return seen, err
	}
	booted := bootTime(files)
	services := map[string]*Service{}
	for _, e := range entries {
		if ctx.Err() != nil {
			return seen, ctx.Err()
		}
		pid := e.Name()
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		cgroup, err := files.ReadFile("/proc/"+pid+"/cgroup", 64<<10)
		if err != nil {
			continue // it is gone
		}
		unit, container := unitOf(string(cgroup))
		if container {
			seen.Containers++
			continue
		}
		maps, err := files.ReadFile("/proc/"+pid+"/maps", maxMaps)
		switch {
		case errors.Is(err, fs.ErrPermission):
			seen.Unreadable++
			continue
		case err != nil:
			continue
		}
		seen.Inspected++
		deleted := deletedCode(maps)
		if len(deleted) == 0 || foreignRoot(files, pid) {
			continue
		}
		since, replaced := replacedSince(files, deleted, startTime(files, pid, booted))
		if len(replaced) == 0 {
			continue
		}
		s := services[unit]
		if s == nil {
			s = &Service{Unit: unit, Since: since}
			services[unit] = s
		}
		s.Processes++
		if since.Before(s.Since) {
			s.Since = since
		}
		for _, file := range replaced {
			if !slices.Contains(s.Files, file) && len(s.Files) < 5 {
				s.Files = append(s.Files, file)
			}
		}
	}
	for _, s := range services {
		seen.Services = append(seen.Services, *s)
	}
	slices.SortFunc(seen.Services, func(a, b Service) int { return strings.Compare(a.Unit, b.Unit) })
	return seen, nil
}

// deletedCode returns the files that are mapped for execution and deleted.
func deletedCode(maps []byte) []string {
	var list []string
	lines := bufio.NewScanner(bytes.NewReader(maps))
	lines.Buffer(nil, 1<<16)
	for lines.Scan() {
		name, deleted := strings.CutSuffix(lines.Text(), " (deleted)")
		if !deleted {
			continue
		}
		fields := strings.SplitN(name, " ", 6) // range, permissions, offset, device, inode, padded path
		if len(fields) < 6 || len(fields[1]) < 3 || fields[1][2] != 'x' || fields[4] == "0" {
			continue
		}
		file := strings.TrimLeft(fields[5], " ")
		inCode := slices.ContainsFunc(codeDirs, func(dir string) bool { return strings.HasPrefix(file, dir) })
		if inCode && !slices.Contains(list, file) {
			list = append(list, file)
		}
	}
	return list
}

// replacedSince returns those of the files that were replaced or removed after
// a process started, and when the first of them was.
func replacedSince(files *rootfs.FS, deleted []string, started time.Time) (time.Time, []string) {
	var since time.Time
	var list []string
	for _, file := range deleted {
		at := changed(files, file)
		for dir := file; at.IsZero() && dir != "/"; {
			dir = path.Dir(dir)
			at = changed(files, dir)
		}
		if at.Before(started) {
			continue // it lies elsewhere than its name says
		}
		if since.IsZero() || at.Before(since) {
			since = at
		}
		list = append(list, file)
	}
	return since, list
}

// startTime is when a process started. One whose start cannot be told started
// with the host.
func startTime(files *rootfs.FS, pid string, booted time.Time) time.Time {
	data, err := files.ReadFile("/proc/"+pid+"/stat", 64<<10)
	if err != nil {
		return booted
	}
	at := bytes.LastIndexByte(data, ')') // the name may hold anything
	fields := strings.Fields(string(data[at+1:]))
	if len(fields) < 20 {
		return booted
	}
	n, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return booted
	}
	return booted.Add(time.Duration(n) * time.Second / ticks)
}

// foreignRoot reports whether a process has another root than the host, as those
// of containers have. Services that systemd confines keep the root of the host.
func foreignRoot(files *rootfs.FS, pid string) bool {
	own, err := files.Stat("/")
	if err != nil {
		return false
	}
	theirs, err := files.Stat("/proc/" + pid + "/root/")
	return err == nil && identity(own) != identity(theirs)
}

func identity(info fs.FileInfo) string {
	stat, ok := sys(info)
	if !ok {
		return info.Name()
	}
	return fmt.Sprint(stat.Dev, " ", stat.Ino)
}

// containers are parts of the cgroups of processes in containers.
var containers = []string{"docker", "libpod", "kubepods", "crio", "containerd", "lxc", "machine.slice", "garden", "buildkit"}

// unitOf returns the unit of systemd of a process from /proc/PID/cgroup, and
// whether it belongs to a container. Without systemd it is the cgroup itself.
func unitOf(text string) (unit string, container bool) {
	group := "/"
	for l := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(l), ":", 3)
		if len(parts) == 3 && (parts[0] == "0" && parts[2] != "/" || parts[1] == "name=systemd") {
			group = parts[2]
		}
		if len(parts) == 3 && slices.ContainsFunc(containers, func(name string) bool { return strings.Contains(parts[2], name) }) {
			// Their daemons, such as docker.service, are services of the host.
			if base := path.Base(parts[2]); !strings.HasSuffix(base, ".service") || strings.Contains(parts[2], "kubepods") {
				return "", true
			}
		}
	}
	for part := range strings.SplitSeq(group, "/") {
		if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
			return part, false // the outermost one: user managers have units of their own
		}
	}
	if base := path.Base(group); base != "/" && base != "." {
		return base, false
	}
	return "no unit", false
}
