package reboot

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/evr"
)

// A kernel is one that is installed.
type kernel struct {
	release string
	image   string    // its file; empty if only modules were found
	since   time.Time // when it was installed, from the change time of its file
}

// kernelDirs hold the modules of each kernel, and with some distributions the
// kernel itself.
var kernelDirs = []string{"/usr/lib/modules", "/lib/modules"}

// installedKernels finds kernels by their files in /boot and by their modules.
func installedKernels(files *rootfs.FS) ([]kernel, error) {
	found := map[string]kernel{}
	entries, err := files.ReadDir("/boot")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		for _, prefix := range []string{"vmlinuz-", "vmlinux-", "Image-", "image-"} {
			release, ok := strings.CutPrefix(name, prefix)
			if !ok || strings.Contains(name, "rescue") || strings.HasSuffix(name, ".old") || release == "" || release[0] < '0' || release[0] > '9' {
				continue
			}
			found[release] = kernel{release: release, image: "/boot/" + name, since: changed(files, "/boot/"+name)}
		}
	}
	for _, dir := range kernelDirs {
		entries, err := files.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			image := dir + "/" + e.Name() + "/vmlinuz"
			if _, err := files.Stat(image); err != nil {
				continue // modules that were built here stay when their kernel goes
			}
			if known, ok := found[e.Name()]; !ok || known.image == "" {
				found[e.Name()] = kernel{release: e.Name(), image: image, since: changed(files, image)}
			}
		}
	}
	list := make([]kernel, 0, len(found))
	for _, k := range found {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b kernel) int {
		return cmp.Or(evr.CompareVersions(a.release, b.release), strings.Compare(a.release, b.release))
	})
	return list, nil
}

// flavours of Red Hat and Oracle stand within the release of the package.
var inside = regexp.MustCompile(`(\.rt\d|uek)`)

// counted are words that a number of the build follows.
var counted = regexp.MustCompile(`^(arch|zen|hardened|rt|rc)\d+$`)

// flavour is what tells kernels of a distribution apart that are not upgrades of
// each other: generic, cloud-amd64, default, lts, rt.
func flavour(release string) string {
	var words []string
	if _, plus, ok := strings.Cut(release, "+"); ok && strings.Contains(release, ".x86_64+") || strings.Contains(release, ".aarch64+") {
		words = append(words, plus)
		release, _, _ = strings.Cut(release, "+")
	}
	if within := inside.FindString(release); within != "" {
		words = append(words, strings.Trim(within, ".0123456789"))
	}
	for token := range strings.SplitSeq(release, "-") {
		if match := counted.FindStringSubmatch(token); match != nil {
			token = match[1]
		}
		if token != "" && (token[0] < '0' || token[0] > '9') && token != "rc" {
			words = append(words, token)
		}
	}
	return strings.Join(words, "-")
}

// maxHead is where the head of a kernel image ends that holds its version.
const maxHead = 1 << 16

// builtAs returns what "uname -v" will say of a kernel image for x86, from its
// header (Documentation/arch/x86/boot.rst), or "" if it cannot be told.
func builtAs(files *rootfs.FS, image string) string {
	file, err := files.Open(image)
	if err != nil {
		return ""
	}
	defer file.Close()
	head := make([]byte, maxHead)
	n, _ := file.ReadAt(head, 0)
	return parseImage(head[:n])
}

func parseImage(head []byte) string {
	if len(head) < 0x210 || string(head[0x202:0x206]) != "HdrS" {
		return ""
	}
	at := int(binary.LittleEndian.Uint16(head[0x20e:])) + 0x200
	if at == 0x200 || at >= len(head) {
		return ""
	}
	text, _, ok := bytes.Cut(head[at:], []byte{0})
	_, version, hash := strings.Cut(string(text), " #")
	if !ok || !hash {
		return ""
	}
	return "#" + version
}

// kernelReason compares the kernel that runs with the newest installed one of
// its flavour. Known is false if there is nothing to compare with.
func kernelReason(files *rootfs.FS) (reason Reason, outdated, known bool, note string) {
	release, err := line(files, "/proc/sys/kernel/osrelease")
	if err != nil {
		return Reason{}, false, false, "The running kernel is not known: " + err.Error() + "."
	}
	kernels, err := installedKernels(files)
	if err != nil {
		return Reason{}, false, false, "The installed kernels are not known: " + err.Error() + "."
	}
	kernels = slices.DeleteFunc(kernels, func(k kernel) bool { return flavour(k.release) != flavour(release) })
	if len(kernels) == 0 {
		return Reason{}, false, false, "Kernel " + release + " runs, and no kernel of its flavour is installed: it comes from outside, or this is a container."
	}
	newest := kernels[len(kernels)-1]
	switch order := evr.CompareVersions(newest.release, release); {
	case order > 0:
		return Reason{Kind: Kernel, Package: newest.release, Since: newest.since}, true, true, "Kernel " + release + " runs, and " + newest.release + " is installed."
	case order < 0:
		return Reason{}, false, true, "Kernel " + release + " runs, which is newer than all that are installed."
	}
	running, err := line(files, "/proc/sys/kernel/version")
	if built := builtAs(files, newest.image); err == nil && built != "" && running != "" && !strings.HasPrefix(built, running) {
		return Reason{Kind: Kernel, Package: release, Since: newest.since}, true, true, "Kernel " + release + " runs as " + running + ", and has been installed as " + built + "."
	}
	return Reason{}, false, true, "Kernel " + release + " runs, the newest one of its flavour."
}

func line(files *rootfs.FS, path string) (string, error) {
	data, err := files.ReadFile(path, 64<<10)
	first, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(first), err
}
