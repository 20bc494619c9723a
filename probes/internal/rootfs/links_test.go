package rootfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"hygiene_exporter/probes/internal/rootfs"
)

func TestLinksStayInsideTheRoot(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(outside, []byte("outside"), 0o644))
	host := rootfs.New(rootfs.Paths{Root: plant(t, map[string]string{
		"etc/real":              "inside",
		"etc/absolute":          "-> /etc/real",
		"etc/relative":          "-> real",
		"etc/above":             "-> ../../../../../../../etc/real",
		"etc/chain":             "-> /srv/link/absolute",
		"srv/link":              "-> /etc",
		"etc/outside":           "-> " + outside,
		"etc/loop":              "-> /etc/loop2",
		"etc/loop2":             "-> loop",
		"etc/mounts":            "-> ../proc/self/mounts",
		"proc/self/mounts":      "mounts of the host",
		"proc/7/root/etc/real":  "inside the container",
		"proc/7/root/etc/link":  "-> /etc/real",
		"proc/7/root/etc/above": "-> ../../../../../etc/real",
	})})
	for _, test := range []struct {
		name, path, want string
		err              error
	}{
		{name: "a file is read", path: "/etc/real", want: "inside"},
		{name: "a path without a leading slash starts at the root", path: "etc/real", want: "inside"},
		{name: "dots cannot climb above the root", path: "/../../etc/real", want: "inside"},
		{name: "an absolute link starts at the root", path: "/etc/absolute", want: "inside"},
		{name: "a relative link starts at its directory", path: "/etc/relative", want: "inside"},
		{name: "a link cannot climb above the root", path: "/etc/above", want: "inside"},
		{name: "links lead through linked directories", path: "/etc/chain", want: "inside"},
		{name: "a link to a place outside leads nowhere", path: "/etc/outside", err: fs.ErrNotExist},
		{name: "a path outside leads nowhere", path: outside, err: fs.ErrNotExist},
		{name: "a loop of links is an error", path: "/etc/loop", err: syscall.ELOOP},
		{name: "a link may lead into procfs", path: "/etc/mounts", want: "mounts of the host"},
		{name: "the root of a process is read", path: "/proc/7/root/etc/real", want: "inside the container"},
		{name: "an absolute link stays inside the root of its process", path: "/proc/7/root/etc/link", want: "inside the container"},
		{name: "a link cannot climb above the root of its process", path: "/proc/7/root/etc/above", want: "inside the container"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			data, err := host.ReadFile(test.path, 1000)
			if !errors.Is(err, test.err) || string(data) != test.want {
				t.Errorf("ReadFile(%q) = %q, %v; want %q, %v", test.path, data, err, test.want, test.err)
			}
		})
	}
}

func TestKernelFileSystemsMayBeElsewhere(t *testing.T) {
	t.Parallel()
	kernel := plant(t, map[string]string{
		"p/mdstat":                     "Personalities :",
		"s/devices/pci/net/eth0/mtu":   "1500",
		"s/class/net/eth0":             "-> ../../devices/pci/net/eth0",
		"p/1/root/etc/machine-id":      "id",
		"p/1/root/var/lib/dbus/id":     "-> /etc/machine-id",
		"p/sys/kernel/random/boot_id":  "boot",
		"processes/are/not/in/procfs":  "",
		"p/self/mountinfo":             "mounts",
		"s/class/net/bonding_masters":  "bond0",
		"s/class/net/bond0/statistics": "",
	})
	root := plant(t, map[string]string{
		"proc/mdstat":    "not this one",
		"etc/mtab":       "-> /proc/self/mountinfo",
		"dev/disk/eth":   "-> /sys/class/net/eth0/mtu",
		"system/mdstat":  "a file of the root",
		"procedure/text": "a file of the root",
	})
	host := rootfs.New(rootfs.Paths{Root: root, Proc: kernel + "/p/", Sys: kernel + "/s"})
	for path, want := range map[string]string{
		"/proc/mdstat":                  "Personalities :",
		"/sys/class/net/eth0/mtu":       "1500",
		"/etc/mtab":                     "mounts",
		"/dev/disk/eth":                 "1500",
		"/proc/1/root/var/lib/dbus/id":  "id",
		"/system/mdstat":                "a file of the root",
		"/procedure/text":               "a file of the root",
		"/proc/sys/kernel/random/../..": "",
	} {
		data, err := host.ReadFile(path, 1000)
		if want == "" {
			if !errors.Is(err, rootfs.ErrNotRegular) {
				t.Errorf("ReadFile(%q) = %q, %v; want %v", path, data, err, rootfs.ErrNotRegular)
			}
			continue
		}
		if err != nil || string(data) != want {
			t.Errorf("ReadFile(%q) = %q, %v; want %q", path, data, err, want)
		}
	}
	if own := rootfs.New(rootfs.Paths{Proc: kernel + "/p"}); own.Own() {
		t.Error("with the procfs of another host, the file system counts as the agent's own")
	}
	if own := rootfs.New(rootfs.Paths{Root: "/", Proc: "/proc/", Sys: "/sys"}); !own.Own() {
		t.Error("the default places, written out, do not count as the agent's own")
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	host := rootfs.New(rootfs.Paths{Root: plant(t, map[string]string{
		"etc/alternatives/tool":      "-> /usr/lib/tool",
		"usr/bin/tool":               "-> ../../etc/alternatives/tool",
		"usr/lib/tool":               "",
		"lib":                        "-> usr/lib",
		"dangling":                   "-> /nowhere/at/all",
		"loop":                       "-> loop",
		"sys/class/net/eth0":         "-> ../../devices/pci/net/eth0",
		"sys/devices/pci/net/eth0/":  "",
		"proc/1/exe":                 "-> /usr/lib/tool",
		"proc/7/root/app/link":       "-> /app/real",
		"proc/7/root/app/real":       "",
		"run/container":              "-> /proc/7/cwd",
		"proc/7/cwd":                 "-> /srv",
		"file/is/no/directory":       "",
		"through":                    "-> /file/is/no/directory/x",
		"srv/a/b/":                   "",
		"sys/class/block/sda/device": "-> ../../../devices/pci",
	})})
	for path, want := range map[string]string{
		"/":                              "/",
		"/usr/bin/tool":                  "/usr/lib/tool",
		"/lib/tool":                      "/usr/lib/tool",
		"/lib/missing":                   "/usr/lib/missing",
		"/dangling":                      "/nowhere/at/all",
		"/sys/class/net/eth0":            "/sys/devices/pci/net/eth0",
		"/sys/class/block/sda/device":    "/sys/devices/pci",
		"/proc/1/exe":                    "/usr/lib/tool",
		"/proc/7/root/app/link":          "/proc/7/root/app/real",
		"/run/container/a":               "/srv/a",
		"/through":                       "/file/is/no/directory/x",
		"/srv/a/../a/./b//":              "/srv/a/b",
		"/proc/7/root/../../7/root/app/": "/proc/7/root/app",
	} {
		if got, err := host.Resolve(path); err != nil || got != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
	if got, err := host.Resolve("/loop"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("Resolve of a loop = %q, %v; want %v", got, err, syscall.ELOOP)
	}
}
