package listeners

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxBuiltin bounds modules.builtin, which has some 20 to 60 KB.
const maxBuiltin = 4 << 20

// mayAsk reports whether the kernel can be asked through a diag module without
// loading it: it is there, or nothing can be loaded.
func (s *Source) mayAsk(module string) bool {
	if _, err := s.files.Stat("/sys/module/" + module); err == nil {
		return true
	}
	s.once.Do(s.readBuiltin)
	return s.builtin[module] || s.nothingLoads()
}

// readBuiltin reads which modules the running kernel was built with.
func (s *Source) readBuiltin() {
	s.builtin = map[string]bool{}
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return
	}
	data, err := s.files.ReadFile("/lib/modules/"+unix.ByteSliceToString(name.Release[:])+"/modules.builtin", maxBuiltin)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		module := strings.TrimSuffix(path.Base(strings.TrimSpace(line)), ".ko")
		s.builtin[strings.ReplaceAll(module, "-", "_")] = true
	}
}

// nothingLoads reports whether the kernel cannot load modules: it was built
// without them, loading is disabled until the next boot, or it has no program
// to call for it.
func (s *Source) nothingLoads() bool {
	if _, err := s.files.Stat("/proc/modules"); errors.Is(err, fs.ErrNotExist) {
		// Without procfs nothing can be said.
		_, err = s.files.Stat("/proc/net/protocols")
		return err == nil
	}
	disabled, err := s.files.ReadFile("/proc/sys/kernel/modules_disabled", 16)
	if err == nil && strings.TrimSpace(string(disabled)) == "1" {
		return true
	}
	loader, err := s.files.ReadFile("/proc/sys/kernel/modprobe", 4096)
	return err == nil && strings.TrimSpace(string(loader)) == ""
}
