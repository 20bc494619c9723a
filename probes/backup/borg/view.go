package borg

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/scratch"
)

// A view is the repository as borg is shown it: a directory with a link to each of
// its files. For a moment at the end of each backup the last transaction is not in
// the index; whoever opens the repository then writes the index, with --bypass-lock
// too, and the backup that was about to do that fails (check_transaction and
// write_index in borg/repository.py). What borg writes into a view is nobody's.
type view struct{ dir, of string }

// linked are the files that borg reads. Others, such as locks and the log of
// transactions, it would only write.
var linked = regexp.MustCompile(`\A(?:README|config|data|(?:index|hints|integrity)\.[0-9]+)\z`)

// view makes a view. A repository behind SSH, or of a host whose file system is not
// the agent's own, has none: that borg sees other paths.
func (r *Repository) view() (view, error) {
	if r.local == "" || !r.host.Files.Own() {
		return view{}, nil
	}
	entries, err := r.host.Files.ReadDir(r.local)
	if err != nil {
		return view{}, err
	}
	dir, err := scratch.Make(os.TempDir())
	if err != nil {
		return view{}, fmt.Errorf("there is no directory for a view of the repository: %w", err)
	}
	v := view{dir: dir, of: r.local}
	// A wrapper may let borg run as another user, who must be able to enter.
	err = os.Chmod(dir, 0o755)
	for _, entry := range entries {
		if err == nil && linked.MatchString(entry.Name()) {
			err = os.Symlink(filepath.Join(r.local, entry.Name()), filepath.Join(dir, entry.Name()))
		}
	}
	if err != nil {
		v.remove()
		return view{}, err
	}
	return v, nil
}

// remove removes the view with what borg has written into it.
func (v view) remove() {
	if v.dir != "" {
		_ = scratch.Remove(v.dir)
	}
}

// place returns what borg is told of a place.
func (v view) place(of string) string {
	if v.dir != "" {
		return v.dir
	}
	return of
}

// told puts the repository into what borg says of the view.
func (v view) told(out probes.Output) probes.Output {
	if v.dir != "" {
		out.Stderr = []byte(strings.ReplaceAll(string(out.Stderr), v.dir, v.of))
	}
	return out
}
