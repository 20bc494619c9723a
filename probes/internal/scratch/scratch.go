// Package scratch makes directories for what is needed for a moment only, such
// as a test restore, and removes them whatever is in them.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
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
	// The number of the process says later whether anybody still uses it.
	return os.MkdirTemp(base, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
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

// Sweep removes what a killed agent has left below base: what was made by a
// process that is not there any more. What this one made goes too.
func Sweep(base string) error {
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, entry := range entries {
		if entry.IsDir() && abandoned(entry.Name()) {
			errs = append(errs, Remove(filepath.Join(base, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

// abandoned reports whether a name is that of a scratch directory whose maker is
// gone.
func abandoned(name string) bool {
	rest, ours := strings.CutPrefix(name, prefix)
	if !ours {
		return false
	}
	number, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	if err != nil || pid <= 0 || pid == os.Getpid() {
		return true
	}
	return errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// Free returns how many bytes can be written below a directory.
func Free(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}
