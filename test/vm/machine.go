package vm

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Machine is what a virtual machine is made of.
type Machine struct {
	Kernel   string            // the kernel's image
	Modules  string            // the tree of its modules
	Load     []string          // modules to load at boot, with parameters behind a space
	Programs map[string]string // programs of the host and their libraries, by the path that they get
	Links    map[string]string // symbolic links
	Devices  []string          // that are emulated, with their properties
	Script   string            // what the machine does, in the shell of busybox
}

// marker begins the lines of a machine that are meant for the test.
const marker = "@@ "

// CloudKernel is the smallest kernel of Debian, without drivers of hardware.
const CloudKernel = "linux-image-cloud-amd64"

// Kernel returns the image and the modules of the newest kernel that a package
// stands for, which the package manager fetches once into dir.
func Kernel(ctx context.Context, dir, of string) (image, modules string, err error) {
	if of != CloudKernel {
		dir = filepath.Join(dir, of)
	}
	root := filepath.Join(dir, "kernel")
	if found, _ := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*")); len(found) == 0 {
		if err := os.MkdirAll(root, 0o755); err != nil {
			return "", "", err
		}
		const fetch = `set -e; p=$(apt-cache depends "$1" | sed -n 's/^ *Depends: //p' | head -1); apt-get download -q "$p"; dpkg-deb -x "$p"_*.deb kernel`
		cmd := exec.CommandContext(ctx, "sh", "-c", fetch, "fetch", of)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", "", fmt.Errorf("the kernel cannot be fetched: %w: %s", err, out)
		}
	}
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err == nil && len(images) == 0 {
		err = errors.New("the package holds no kernel")
	}
	if err != nil {
		return "", "", err
	}
	return images[0], filepath.Join(root, "lib", "modules"), nil
}

// initramfs writes the file system of the machine.
func (m Machine) initramfs(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	compressed, _ := gzip.NewWriterLevel(file, gzip.BestSpeed)
	a := newArchive(compressed)
	var names []string
	parameters := map[string]string{}
	for _, load := range m.Load {
		name, with, _ := strings.Cut(load, " ")
		names = append(names, name)
		parameters[strings.ReplaceAll(name, "-", "_")] = with
	}
	order, err := a.modules(m.Modules, names)
	errs := []error{err}
	for as, path := range m.Programs {
		errs = append(errs, a.program(path, as))
	}
	for name, target := range m.Links {
		a.add(name, os.ModeSymlink|0o777, []byte(target))
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp", "mnt", "etc", "var/lib"} {
		a.add(dir, os.ModeDir|0o755, nil)
	}
	var init strings.Builder
	init.WriteString("#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin:/sbin\n" +
		"mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev; mount -t tmpfs r /run; mount -t configfs c /sys/kernel/config\n" +
		"exec </dev/null >/dev/ttyS0 2>&1\n")
	for _, name := range order {
		fmt.Fprintf(&init, "insmod /modules/%s.ko %s\n", name, parameters[name])
	}
	init.WriteString("mount -t configfs c /sys/kernel/config 2>/dev/null\nsh /script\necho '" + marker + "end'\npoweroff -f\n")
	a.add("init", 0o755, []byte(init.String()))
	a.add("script", 0o755, []byte(m.Script))
	errs = append(errs, a.close(), compressed.Close(), file.Close())
	return errors.Join(errs...)
}

// Run boots the machine and returns what it printed. KVM hangs where machines
// are nested, so that the processor is always emulated.
func (m Machine) Run(ctx context.Context, dir string) ([]string, error) {
	initrd := filepath.Join(dir, "initramfs.gz")
	if err := m.initramfs(initrd); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-nodefaults", "-no-reboot",
		"-display", "none", "-serial", "stdio", "-kernel", m.Kernel, "-initrd", initrd,
		"-append", "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check rdinit=/init random.trust_cpu=on")
	for _, device := range m.Devices {
		cmd.Args = append(cmd.Args, "-device", device)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var lines []string
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, strings.TrimRight(scanner.Text(), "\r"))
	}
	err = errors.Join(scanner.Err(), cmd.Wait())
	if err == nil && !slices.Contains(lines, marker+"end") {
		err = fmt.Errorf("the machine stopped before the end of its script: %s", said.String())
	}
	return lines, err
}
