package vm

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// An archive is an initial file system in the format newc of cpio, as in
// Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
type archive struct {
	out  io.Writer
	seen map[string]bool
	node int
	err  error
}

func newArchive(out io.Writer) *archive { return &archive{out: out, seen: map[string]bool{}} }

// add writes one entry and the directories above it. What is there already
// stays.
func (a *archive) add(name string, mode fs.FileMode, data []byte) {
	name = strings.Trim(name, "/")
	if a.seen[name] || a.err != nil {
		return
	}
	a.seen[name] = true
	if dir := filepath.Dir(name); dir != "." {
		a.add(dir, fs.ModeDir|0o755, nil)
	}
	bits := uint32(mode.Perm())
	switch mode.Type() {
	case fs.ModeDir:
		bits |= 0o040000
	case fs.ModeSymlink:
		bits |= 0o120000
	default:
		bits |= 0o100000
	}
	a.node++
	a.entry(name, bits, data)
}

func (a *archive) entry(name string, mode uint32, data []byte) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.node, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	b.Write(make([]byte, -b.Len()&3))
	b.Write(data)
	b.Write(make([]byte, -b.Len()&3))
	_, err := a.out.Write(b.Bytes())
	a.err = errors.Join(a.err, err)
}

// close ends the archive.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}

var library = regexp.MustCompile(`(/\S+) \(0x`)

// program adds a program of the host under a name of its own, and the libraries
// that it needs.
func (a *archive) program(path, as string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	a.add(as, 0o755, data)
	libraries, err := exec.Command("ldd", path).Output() //nolint:noctx // it ends
	if err != nil {
		return nil //nolint:nilerr // a static program
	}
	for _, m := range library.FindAllStringSubmatch(string(libraries), -1) {
		data, err := os.ReadFile(m[1])
		if err != nil {
			return err
		}
		a.add(m[1], 0o755, data)
	}
	return nil
}

// modules adds kernel modules and all that they need, and returns them in the
// order in which they can be loaded.
func (a *archive) modules(tree string, names []string) ([]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if name, is := strings.CutSuffix(filepath.Base(path), ".ko"); is {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var order []string
	done := map[string]bool{}
	var take func(name string) error
	take = func(name string) error {
		name = strings.ReplaceAll(name, "-", "_")
		path, is := files[name]
		if !is || done[name] {
			return nil // built into the kernel
		}
		done[name] = true
		needs, err := depends(path)
		if err != nil {
			return err
		}
		for _, need := range needs {
			if err := take(need); err != nil {
				return err
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		a.add("modules/"+name+".ko", 0o644, data)
		order = append(order, name)
		return nil
	}
	for _, name := range names {
		if err := take(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// depends returns the modules that a module names in its section .modinfo.
func depends(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s has no .modinfo", path)
	}
	data, err := section.Data()
	if err != nil {
		return nil, err
	}
	var names []string
	for field := range strings.SplitSeq(string(data), "\x00") {
		if list, is := strings.CutPrefix(field, "depends="); is && list != "" {
			names = append(names, strings.Split(list, ",")...)
		}
		if list, is := strings.CutPrefix(field, "softdep=pre: "); is {
			names = append(names, strings.Fields(list)...)
		}
	}
	return names, nil
}
