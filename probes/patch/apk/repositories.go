package apk

import (
	"crypto/sha1" //nolint:gosec // apk names files by it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
)

// A repository is one place that packages come from.
type repository struct {
	name string // without credentials
	tag  string
	url  string // as apk has it, without the architecture
	adb  bool   // its index is in the format of apk 3
}

// listDirs hold further lists; a name that was seen is not read again.
var listDirs = []string{"/etc/apk/repositories.d", "/lib/apk/repositories.d", "/usr/lib/apk/repositories.d"}

// readRepositories reads apk-repositories(5).
func readRepositories(files *rootfs.FS, arch string) ([]repository, error) {
	variables := map[string]string{"APK_ARCH": arch}
	var list []repository
	read := func(place string) error {
		data, err := files.ReadFile(place, 1<<20)
		if err == nil {
			list = append(list, parseRepositories(string(data), variables)...)
		}
		return err
	}
	if err := read("/etc/apk/repositories"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	seen := map[string]bool{}
	for _, dir := range listDirs {
		entries, err := files.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return list, err
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".list") || seen[e.Name()] {
				continue
			}
			seen[e.Name()] = true
			if err := read(dir + "/" + e.Name()); err != nil {
				return list, err
			}
		}
	}
	return list, nil
}

func parseRepositories(text string, variables map[string]string) []repository {
	var list []repository
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if words[0] == "set" {
			set(words[1:], variables)
			continue
		}
		r := repository{}
		kind := ""
		if slices.Contains([]string{"ndx", "v2", "v3"}, words[0]) {
			kind, words = words[0], words[1:]
		}
		if len(words) > 0 && words[0][0] == '@' {
			r.tag, words = words[0][1:], words[1:]
		}
		if len(words) == 0 {
			continue
		}
		url := strings.TrimSuffix(expand(words[0], variables), "/")
		components := words[1:]
		if len(components) == 0 {
			components = []string{""}
		}
		for _, component := range components {
			r.url = strings.TrimSuffix(url+"/"+expand(component, variables), "/")
			r.adb = kind == "v3" || strings.HasSuffix(r.url, ".adb")
			r.name = nameOf(r)
			list = append(list, r)
		}
	}
	return list
}

func set(words []string, variables map[string]string) {
	keep := len(words) > 0 && words[0] == "-default"
	if keep {
		words = words[1:]
	}
	if len(words) == 0 {
		return
	}
	key, value, _ := strings.Cut(words[0], "=")
	if _, known := variables[key]; !known || !keep {
		variables[key] = expand(value, variables)
	}
}

func expand(text string, variables map[string]string) string {
	for name, value := range variables {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	return text
}

// nameOf is the URL without scheme, user and password, and with the tag.
func nameOf(r repository) string {
	name := r.url
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	if at := strings.LastIndexByte(strings.SplitN(name, "/", 2)[0], '@'); at >= 0 {
		name = name[at+1:]
	}
	if r.tag != "" {
		name = "@" + r.tag + " " + name
	}
	return name
}

// cacheDirs are where apk keeps indexes, the first one that is there.
var cacheDirs = []string{"/etc/apk/cache", "/var/cache/apk"}

// places returns where the index of a repository may be. apk 2 names it by the
// SHA-1 of the URL; apk 3 has been seen with the URL of the index as well.
func (r repository) places(arch string) []string {
	if local, ok := strings.CutPrefix(r.url, "file://"); ok || strings.HasPrefix(r.url, "/") {
		if strings.HasSuffix(r.url, ".tar.gz") {
			return []string{local}
		}
		return []string{path.Join(strings.TrimPrefix(r.url, "file://"), arch, "APKINDEX.tar.gz")}
	}
	var list []string
	for _, dir := range cacheDirs {
		for _, url := range []string{r.url, r.url + "/", r.url + "/" + arch + "/APKINDEX.tar.gz"} {
			old := sha1.Sum([]byte(url)) //nolint:gosec // a name
			recent := sha256.Sum256([]byte(url))
			list = append(list, dir+"/APKINDEX."+hex.EncodeToString(old[:4])+".tar.gz", dir+"/APKINDEX."+hex.EncodeToString(recent[:4])+".tar.gz")
		}
	}
	return list
}
