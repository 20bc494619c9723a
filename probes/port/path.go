package port

import (
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/internal/rootfs"
)

// paths knows who can connect to unix sockets. It is used by one goroutine at a
// time.
type paths struct {
	files *rootfs.FS
	known map[uint64]reach // by inode of the socket
}

type reach struct {
	exposure string
	at       time.Time
}

// exposure returns who can connect to a unix socket: by the mode of its path and
// of the directories that lead there. The mode of a path changes seldom.
func (p *paths) exposure(l listeners.Listener, now time.Time) string {
	if known, ok := p.known[l.Inode]; ok && now.Sub(known.at) < refresh {
		return known.exposure
	}
	if len(p.known) > 20_000 {
		clear(p.known)
	}
	exposure := p.look(l)
	p.known[l.Inode] = reach{exposure, now}
	return exposure
}

func (p *paths) look(l listeners.Listener) string {
	switch {
	case strings.HasPrefix(l.Path, "@"):
		return abstract
	case !path.IsAbs(l.Path):
		return hidden // without a name, or relative to a directory that nobody knows
	}
	info, err := p.files.Lstat(l.Path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return hidden
	}
	// A container has a path of the same name, and another file.
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && l.VFS > 0 && uint32(stat.Ino) != l.VFS {
		return hidden
	}
	const write, search = 0o002, 0o001
	if info.Mode().Perm()&write == 0 {
		return restricted
	}
	for dir := path.Dir(l.Path); ; dir = path.Dir(dir) {
		info, err := p.files.Stat(dir)
		if err != nil || info.Mode().Perm()&search == 0 {
			return restricted
		}
		if dir == "/" {
			return everyone
		}
	}
}
