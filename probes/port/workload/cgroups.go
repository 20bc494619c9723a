package workload

import (
	"context"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

const (
	maxCgroups = 50_000           // that are looked at in one walk
	believe    = 10 * time.Minute // that a cgroup is not there
)

// Cgroups knows the paths of cgroups by the number that sockets carry: the inode
// of the directory. It is used by one goroutine at a time.
type Cgroups struct {
	files  *rootfs.FS
	paths  map[uint64]string
	absent map[uint64]time.Time
	walked time.Time
}

// NewCgroups returns a table that fills itself. It touches nothing.
func NewCgroups(files *rootfs.FS) *Cgroups {
	return &Cgroups{files: files, paths: map[uint64]string{}, absent: map[uint64]time.Time{}}
}

// Mount returns where the cgroups of version 2 are mounted; empty if they are
// not.
func (c *Cgroups) Mount() string {
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := c.files.Lstat(top + "/cgroup.controllers"); err == nil {
			return top
		}
	}
	return ""
}

// Path returns the path of a cgroup below the mount. A number that is not known
// makes it look through all cgroups again, once for each instant. A cgroup that
// was removed keeps the path that it had.
func (c *Cgroups) Path(ctx context.Context, id uint64, now time.Time) (string, bool) {
	if id == 0 {
		return "", false
	}
	path, known := c.paths[id]
	if known || now.Sub(c.absent[id]) < believe {
		return path, known
	}
	if !now.Equal(c.walked) {
		c.walked = now
		c.look(ctx)
	}
	if path, known = c.paths[id]; !known {
		c.absent[id] = now
	}
	return path, known
}

func (c *Cgroups) look(ctx context.Context) {
	if len(c.paths) > 2*maxCgroups {
		clear(c.paths)
	}
	if len(c.absent) > 2*maxCgroups {
		clear(c.absent)
	}
	if top := c.Mount(); top != "" {
		budget := maxCgroups
		c.walk(ctx, top, "", &budget)
	}
}

func (c *Cgroups) walk(ctx context.Context, top, path string, budget *int) {
	if *budget--; *budget < 0 || ctx.Err() != nil {
		return
	}
	info, err := c.files.Lstat(top + path)
	if err != nil {
		return // it was removed
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		c.paths[stat.Ino] = path
	}
	entries, err := c.files.ReadDir(top + path)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeDir != 0 {
			c.walk(ctx, top, path+"/"+entry.Name(), budget)
		}
	}
}

// Processes returns the processes that live in a cgroup now.
func (c *Cgroups) Processes(path string) []int {
	data, err := c.files.ReadFile(c.Mount()+path+"/cgroup.procs", 1<<20)
	if err != nil {
		return nil
	}
	var list []int
	for line := range strings.Lines(string(data)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
			list = append(list, pid)
		}
	}
	return list
}

// OfProcess returns the path of the cgroup in which a process lives.
func (c *Cgroups) OfProcess(pid int) (string, bool) {
	data, err := c.files.ReadFile("/proc/"+strconv.Itoa(pid)+"/cgroup", 1<<20)
	if err != nil {
		return "", false
	}
	// Without version 2, the hierarchy of systemd has the same names.
	legacy := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if path, ok := strings.CutPrefix(line, "0::"); ok && path != "/" {
			return path, true
		}
		if _, path, ok := strings.Cut(line, ":name=systemd:"); ok {
			legacy = path
		}
	}
	return legacy, legacy != ""
}
