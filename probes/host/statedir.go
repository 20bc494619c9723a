package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// systemStateDir belongs to the service; its unit creates it.
const systemStateDir = "/var/lib/hygiene_exporter"

// StateDir returns where the agent keeps its state: what the flag says;
// otherwise /var/lib/hygiene_exporter if this user can write there or create
// it; otherwise hygiene_exporter below $XDG_STATE_HOME or ~/.local/state;
// otherwise nothing, which means in memory. It creates nothing.
func StateDir(flag string) string {
	return stateDir(flag, systemStateDir, os.Getenv)
}

func stateDir(flag, system string, getenv func(string) string) string {
	if flag != "" {
		return flag
	}
	if usable(system) {
		return system
	}
	// The XDG base directory specification says to ignore a relative path.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, filepath.Base(systemStateDir))
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local/state", filepath.Base(systemStateDir))
	}
	return ""
}

// usable reports whether a directory can be written to, or created and then
// written to.
func usable(dir string) bool {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		dir = filepath.Dir(dir)
	}
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() &&
		unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}
