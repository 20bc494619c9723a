package dnf

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/repository"
)

// cacheDir is where dnf 4 keeps what it downloads.
func (c configuration) cacheDir() string {
	return cmp.Or(c.replace(c.main["cachedir"]), "/var/cache/dnf")
}

// findMetadata finds the directory of the metadata of a repository. dnf derives
// its name from the id and the URL; if that one is not there, as when a plugin
// changes URLs, the one that was refreshed last is taken, with a note.
func findMetadata(files *rootfs.FS, c configuration, one repo) (dir, note string, err error) {
	exact := one.id + "-" + digest(cmp.Or(one.url, one.id))
	var roots []string
	for _, root := range []string{c.replace(c.main["cachedir"]), "/var/cache/libdnf5", "/var/cache/dnf", "/var/cache/yum/" + c.variables["basearch"] + "/" + c.variables["releasever"]} {
		if root != "" {
			roots = append(roots, root)
		}
	}
	if one.cachedir != "" {
		roots = append(roots, one.cachedir)
	}
	var candidates, others []string
	for _, root := range roots {
		candidates = append(candidates, root+"/"+exact+"/repodata", root+"/"+one.id)
		found, err := siblings(files, root, one.id)
		if err != nil {
			return "", "", err
		}
		others = append(others, found...)
	}
	if dir := latest(files, candidates); dir != "" {
		return dir, "", nil
	}
	if dir := latest(files, others); dir != "" {
		return dir, "The metadata was downloaded from another URL than " + cmp.Or(one.url, "the one that is not configured") + ".", nil
	}
	return "", "", probes.Because(probes.NotFound, fmt.Errorf("its metadata has never been downloaded: %w", fs.ErrNotExist))
}

// digest is how dnf tells the URLs of a repository apart.
func digest(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:8])
}

// siblings returns the directories of a repository under other URLs.
func siblings(files *rootfs.FS, root, id string) ([]string, error) {
	entries, err := files.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), id+"-")
		if _, err := hex.DecodeString(rest); ok && len(rest) == 16 && err == nil {
			dirs = append(dirs, root+"/"+e.Name()+"/repodata")
		}
	}
	return dirs, nil
}

// latest returns the directory with an index that was refreshed last.
func latest(files *rootfs.FS, dirs []string) string {
	best := ""
	for _, dir := range dirs {
		if _, err := files.Stat(dir + "/repomd.xml"); err != nil {
			continue
		}
		if best == "" || repository.Refreshed(files, dir).After(repository.Refreshed(files, best)) {
			best = dir
		}
	}
	return best
}
