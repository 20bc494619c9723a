// Package reboot tells whether what is installed also runs: whether the host
// must be rebooted, why and since when; and which services still execute code
// that has been replaced on disk.
package reboot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// A Kind says how a reboot was asked for.
type Kind string

// The kinds of reasons.
const (
	Kernel    Kind = "kernel"    // a newer one is installed than runs
	Requested Kind = "requested" // a package left a flag, reboot-required or reboot-needed
	Package   Kind = "package"   // a package was updated after boot that takes effect only by a reboot
)

// Kinds lists the closed set.
func Kinds() []string { return []string{string(Kernel), string(Requested), string(Package)} }

// A Reason is one reason for a reboot.
type Reason struct {
	Kind    Kind
	Package string // what was updated; may be empty
	Since   time.Time
}

// A State is whether a reboot is required.
type State struct {
	// Required is Unknown if no reason was found and the kernels could not be
	// compared.
	Required updates.Truth
	Reasons  []Reason
	Since    time.Time // of the oldest reason
	// Livepatched says that the running kernel is patched in memory: what it
	// needs a reboot for may have been repaired already.
	Livepatched bool
	Booted      time.Time
	Notes       []string
}

// flags are left by packages of Debian and Ubuntu, and by libzypp. Where nothing
// installs the hook that makes them, they are never there.
var flags = []string{"/run/reboot-required", "/var/run/reboot-required", "/run/reboot-needed", "/boot/reboot-needed"}

// Read looks at the host. Packages are those after whose installation their
// publisher wants a reboot.
func Read(files *rootfs.FS, packages []updates.Change) State {
	var s State
	s.Booted = bootTime(files)
	seen := map[string]bool{}
	for _, flag := range flags {
		info, err := files.Stat(flag)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				s.Notes = append(s.Notes, fmt.Sprintf("%s: %v.", flag, err))
			}
			continue
		}
		if target, err := files.Resolve(flag); err == nil && seen[target] {
			continue
		} else if err == nil {
			seen[target] = true
		}
		if !s.Booted.IsZero() && info.ModTime().Before(s.Booted) {
			s.Notes = append(s.Notes, flag+" is from before the last boot and does not count.")
			continue
		}
		s.Notes = append(s.Notes, flag+" is there.")
		s.add(requested(files, flag, info.ModTime())...)
	}
	for _, p := range packages {
		if !s.Booted.IsZero() && p.At.After(s.Booted) {
			s.add(Reason{Kind: Package, Package: p.Package, Since: p.At})
			s.Notes = append(s.Notes, fmt.Sprintf("%s was installed after the last boot: %s.", p.Package, p.Why))
		}
	}
	reason, outdated, known, note := kernelReason(files)
	s.Notes = append(s.Notes, note)
	if outdated {
		s.add(reason)
	}
	if s.Livepatched = livepatched(files); s.Livepatched {
		s.Notes = append(s.Notes, "The running kernel is patched in memory.")
	}
	switch {
	case len(s.Reasons) > 0:
		s.Required = updates.Yes
	case known:
		s.Required = updates.No
	}
	return s
}

func (s *State) add(reasons ...Reason) {
	for _, r := range reasons {
		s.Reasons = append(s.Reasons, r)
		if s.Since.IsZero() || !r.Since.IsZero() && r.Since.Before(s.Since) {
			s.Since = r.Since
		}
	}
}

// requested returns a reason for each package that a flag names.
func requested(files *rootfs.FS, flag string, since time.Time) []Reason {
	data, err := files.ReadFile(flag+".pkgs", 1<<20)
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return []Reason{{Kind: Requested, Since: since}}
	}
	var reasons []Reason
	seen := map[string]bool{}
	for name := range strings.FieldsSeq(string(data)) {
		if !seen[name] {
			seen[name] = true
			reasons = append(reasons, Reason{Kind: Requested, Package: name, Since: since})
		}
	}
	return reasons
}

// livepatched reports whether a patch of the kernel is in force.
func livepatched(files *rootfs.FS) bool {
	entries, err := files.ReadDir("/sys/kernel/livepatch")
	if err != nil {
		return false
	}
	for _, e := range entries {
		dir := "/sys/kernel/livepatch/" + e.Name()
		enabled, _ := line(files, dir+"/enabled")
		transition, err := line(files, dir+"/transition")
		if enabled == "1" && (err != nil || transition == "0") {
			return true
		}
	}
	return false
}

// bootTime is when the kernel started; zero if it cannot be told.
func bootTime(files *rootfs.FS) time.Time {
	data, err := files.ReadFile("/proc/stat", 4<<20)
	if err != nil {
		return time.Time{}
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "btime "); ok {
			if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
				return time.Unix(seconds, 0)
			}
		}
	}
	return time.Time{}
}

// changed is when the inode of a file was last changed, which cannot be set;
// zero if there is none.
func changed(files *rootfs.FS, path string) time.Time {
	info, err := files.Stat(path)
	if err != nil {
		return time.Time{}
	}
	if stat, ok := sys(info); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}

func sys(info fs.FileInfo) (*syscall.Stat_t, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return stat, ok
}
