package reboot

import (
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

func plant(t *testing.T, files map[string]string) *rootfs.FS {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		real := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(real, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return rootfs.New(rootfs.Paths{Root: root})
}

func TestFlavoursOfDistributions(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]string{
		"6.1.0-18-amd64":                 "amd64",
		"6.1.0-18-cloud-amd64":           "cloud-amd64",
		"6.1.0-18-rt-amd64":              "rt-amd64",
		"6.12.9+bpo-amd64":               "amd64",
		"6.1.0-0.deb11.13-amd64":         "amd64",
		"5.15.0-91-generic":              "generic",
		"6.5.0-1014-aws":                 "aws",
		"5.14.0-362.8.1.el9_3.x86_64":    "",
		"5.14.0-362.8.1.el9_3.x86_64+rt": "rt",
		"4.18.0-513.rt7.295.el8.x86_64":  "rt",
		"5.15.0-100.96.32.el9uek.x86_64": "uek",
		"6.8.5-301.fc40.x86_64":          "",
		"6.1.72-96.166.amzn2023.x86_64":  "",
		"5.14.21-150500.55.39-default":   "default",
		"6.6.8-arch1-1":                  "arch",
		"6.6.8-1-lts":                    "lts",
		"6.6.8-0-virt":                   "virt",
	} {
		if got := flavour(release); got != want {
			t.Errorf("flavour(%q) = %q, want %q", release, got, want)
		}
	}
}

// image is the head of a kernel for x86.
func image(text string) string {
	head := make([]byte, 0x400)
	copy(head[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(head[0x20e:], 0x100)
	copy(head[0x300:], text+"\x00")
	return string(head)
}

const debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)"

func TestKernels(t *testing.T) {
	t.Parallel()
	running := func(release, version string) map[string]string {
		return map[string]string{"/proc/sys/kernel/osrelease": release + "\n", "/proc/sys/kernel/version": version + "\n", "/proc/stat": "cpu 1\nbtime 1700000000\n"}
	}
	for _, test := range []struct {
		name, release string
		files         map[string]string
		want          updates.Truth
		pkg           string
	}{
		{"the newest one runs", "6.1.0-18-amd64", map[string]string{"/boot/vmlinuz-6.1.0-18-amd64": image("6.1.0-18-amd64 (d@d) " + debian), "/boot/vmlinuz-6.1.0-9-amd64": ""}, updates.No, ""},
		{"a newer one is installed", "6.1.0-9-amd64", map[string]string{"/boot/vmlinuz-6.1.0-18-amd64": "", "/boot/vmlinuz-6.1.0-9-amd64": ""}, updates.Yes, "6.1.0-18-amd64"},
		{"the same one was built anew", "6.1.0-18-amd64", map[string]string{"/boot/vmlinuz-6.1.0-18-amd64": image("6.1.0-18-amd64 (d@d) #1 SMP PREEMPT_DYNAMIC Debian 6.1.82-1 (2024-03-28)")}, updates.Yes, "6.1.0-18-amd64"},
		{"a newer one of another flavour", "6.1.0-18-amd64", map[string]string{"/boot/vmlinuz-6.1.0-18-amd64": "", "/boot/vmlinuz-6.1.0-20-cloud-amd64": ""}, updates.No, ""},
		{"a rescue image and an old link", "5.14.0-1.el9.x86_64", map[string]string{"/boot/vmlinuz-5.14.0-1.el9.x86_64": "", "/boot/vmlinuz-0-rescue-abc": "", "/boot/vmlinuz-9.old": ""}, updates.No, ""},
		{"a kernel beside its modules", "6.6.7-arch1-1", map[string]string{"/usr/lib/modules/6.6.8-arch1-1/vmlinuz": ""}, updates.Yes, "6.6.8-arch1-1"},
		{"modules without a kernel", "6.6.7-arch1-1", map[string]string{"/usr/lib/modules/6.6.8-arch1-1/modules.dep": ""}, updates.Unknown, ""},
		{"no kernel at all", "6.18.0-fc", nil, updates.Unknown, ""},
		{"what runs is newer", "6.1.0-20-amd64", map[string]string{"/boot/vmlinuz-6.1.0-18-amd64": ""}, updates.No, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := running(test.release, debian)
			maps.Copy(files, test.files)
			s := Read(plant(t, files), nil)
			pkg := ""
			if len(s.Reasons) > 0 {
				pkg = s.Reasons[0].Package
			}
			if s.Required != test.want || pkg != test.pkg || (s.Required == updates.Yes) == s.Since.IsZero() {
				t.Errorf("required %d because of %q since %v\n%s", s.Required, pkg, s.Since, strings.Join(s.Notes, "\n"))
			}
		})
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	host := func() map[string]string {
		return map[string]string{"/proc/stat": "btime 1700000000\n", "/proc/sys/kernel/osrelease": "1-a", "/boot/vmlinuz-1-a": ""}
	}
	files := host()
	files["/run/reboot-required"] = "*** System restart required ***\n"
	files["/run/reboot-required.pkgs"] = "libc6\nlinux-image-6\nlibc6\n"
	s := Read(plant(t, files), []updates.Change{{Package: "glibc", At: time.Unix(1700000001, 0)}, {Package: "dbus", At: time.Unix(1600000000, 0)}})
	var got []string
	for _, r := range s.Reasons {
		got = append(got, string(r.Kind)+" "+r.Package)
	}
	if diff := cmp.Diff([]string{"requested libc6", "requested linux-image-6", "package glibc"}, got); diff != "" || !s.Since.Equal(time.Unix(1700000001, 0)) {
		t.Errorf("since %v (-want +got)\n%s", s.Since, diff)
	}
	root := plant(t, files)
	if real, err := root.Open("/run/reboot-required"); err == nil {
		_ = os.Chtimes(real.Name(), time.Unix(1600000000, 0), time.Unix(1600000000, 0))
	}
	if s := Read(root, nil); s.Required != updates.No {
		t.Errorf("a flag from before the boot counts: %v", s.Notes)
	}
	files = host()
	files["/sys/kernel/livepatch/p/enabled"], files["/sys/kernel/livepatch/p/transition"] = "1\n", "0\n"
	if s := Read(plant(t, files), nil); !s.Livepatched {
		t.Errorf("a patch in force is not seen")
	}
	files["/sys/kernel/livepatch/p/transition"] = "1\n"
	if s := Read(plant(t, files), nil); s.Livepatched {
		t.Errorf("a patch that is not yet in force counts")
	}
}

func TestDeletedCode(t *testing.T) {
	t.Parallel()
	const maps = `55d0-55d1 r-xp 00001000 fe:00 1234                       /usr/sbin/nginx (deleted)
55d1-55d2 rw-p 00001000 fe:00 1234                       /usr/sbin/data (deleted)
7f00-7f01 r-xp 00000000 fe:00 99                         /usr/lib64/libssl.so.3 (deleted)
7f00-7f01 r-xp 00000000 fe:00 99                         /usr/lib64/libssl.so.3 (deleted)
7f01-7f02 r-xp 00000000 fe:00 98                         /usr/lib64/with a space.so (deleted)
7f02-7f03 r-xp 00000000 00:01 7                          /memfd:doublemapper (deleted)
7f03-7f04 r-xp 00000000 00:01 0                          /SYSV00000000 (deleted)
7f04-7f05 r-xp 00000000 fe:00 97                         /tmp/ffi1234 (deleted)
7f05-7f06 r-xp 00000000 fe:00 96                         /usr/lib/libc.so.6
7f06-7f07 r-xp 00000000 00:00 0                          [vdso]
`
	want := []string{"/usr/sbin/nginx", "/usr/lib64/libssl.so.3", "/usr/lib64/with a space.so"}
	if diff := cmp.Diff(want, deletedCode([]byte(maps))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0::/system.slice/nginx.service\n":                                         "nginx.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service\n": "user@1000.service",
		"0::/user.slice/user-0.slice/session-3.scope\n":                            "session-3.scope",
		"0::/init.scope\n": "init.scope",
		"12:cpu:/x\n1:name=systemd:/system.slice/ssh.service\n0::/\n":        "ssh.service",
		"0::/system.slice/docker.service\n":                                  "docker.service",
		"0::/system.slice/docker-0123.scope\n":                               "container",
		"0::/machine.slice/libpod-0123.scope/container\n":                    "container",
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123.scope\n": "container",
		"0::/lxc/c1\n": "container",
		"0::/\n":       "no unit",
		"0::/nginx\n":  "nginx",
	} {
		unit, container := unitOf(text)
		if container {
			unit = "container"
		}
		if unit != want {
			t.Errorf("unitOf(%q) = %q, want %q", text, unit, want)
		}
	}
}

// What is deleted lies where code is, whatever the text.
func FuzzDeletedCode(f *testing.F) {
	f.Add([]byte("55d0-55d1 r-xp 00001000 fe:00 1234  /usr/sbin/nginx (deleted)\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, file := range deletedCode(text) {
			if !strings.HasPrefix(file, "/") {
				t.Errorf("%q", file)
			}
		}
	})
}

// A version that is told begins as "uname -v" does.
func FuzzParseImage(f *testing.F) {
	f.Add([]byte(image("1 (a) #1 x")))
	f.Fuzz(func(t *testing.T, head []byte) {
		if text := parseImage(head); text != "" && text[0] != '#' {
			t.Errorf("%q", text)
		}
	})
}
