// Package scratch makes directories for what is needed for a moment only, such
// as a test restore, and removes them whatever is in them.
package scratch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix begins the names of such directories.
const prefix = "hygiene-scratch-"

// Make makes an empty directory below base, which is made too if it is missing.
// Nobody but the agent's user can enter it.
func Make(base string) (string, error) {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(base, prefix)
}

// Remove removes such a directory with everything in it. What was restored may
// hold directories that nobody may write to.
func Remove(dir string) error {
	if !strings.HasPrefix(filepath.Base(dir), prefix) {
		return errors.New("not a scratch directory: " + dir)
	}
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	_ = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			_ = root.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// Sweep removes what a killed agent has left below base. Only one agent may use
// base.
func Sweep(base string) error {
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, entry := range entries {
		if entry.IsDir() && strings.HasPrefix(entry.Name(), prefix) {
			errs = append(errs, Remove(filepath.Join(base, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

// Free returns how many bytes can be written below a directory.
func Free(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}
