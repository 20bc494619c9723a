package workload

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
)

const (
	id  = "3f4e8a0e6a9c5b1d2e7f80912a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"
	pod = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
)

func TestCgroupsNameTheirWorkloads(t *testing.T) {
	t.Parallel()
	dashes := strings.ReplaceAll(pod, "-", "_")
	for _, test := range []struct {
		name, path string
		want       Workload
		text       string
	}{
		{"a service", "/system.slice/ssh.service", Workload{Unit: "ssh.service"}, "ssh.service"},
		{"an instance, in the slice of its template", "/system.slice/system-getty.slice/getty@tty1.service", Workload{Unit: "getty@tty1.service"}, "getty@tty1.service"},
		{"a part of a service", "/system.slice/nginx.service/workers", Workload{Unit: "nginx.service"}, "nginx.service"},
		{"the first process", "/init.scope", Workload{Unit: "init.scope"}, "init.scope"},
		{"the number of a session is not a name", "/user.slice/user-1000.slice/session-37.scope", Workload{Unit: "session.scope"}, "session.scope"},
		{"a service of a user", "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", Workload{Unit: "user@1000.service/web.service"}, "user@1000.service/web.service"},
		{"a scope of a desktop carries a process", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4711.scope", Workload{Unit: "user@1000.service/app-gnome-firefox.scope"}, "user@1000.service/app-gnome-firefox.scope"},
		{"a transient service carries a number", "/system.slice/run-u42.service", Workload{Unit: "run.service"}, "run.service"},
		{"a transient scope carries random digits", "/system.slice/run-r0a1b2c3d4e5f60718293a4b5c6d7e8f9.scope", Workload{Unit: "run.scope"}, "run.scope"},
		{"a virtual machine carries its number", `/machine.slice/machine-qemu\x2d3\x2dweb.scope`, Workload{Unit: "machine-web.scope"}, "machine-web.scope"},
		{"a service with a number of its own keeps it", "/system.slice/postgresql@15-main.service", Workload{Unit: "postgresql@15-main.service"}, "postgresql@15-main.service"},
		{"docker with systemd", "/system.slice/docker-" + id + ".scope", Workload{Container: id[:12], ID: id}, id[:12]},
		{"docker without", "/docker/" + id, Workload{Container: id[:12], ID: id}, id[:12]},
		{"podman", "/machine.slice/libpod-" + id + ".scope/container", Workload{Container: id[:12], ID: id}, id[:12]},
		{"podman of a user", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope", Workload{Container: id[:12], ID: id}, id[:12]},
		{
			"containerd below kubelet, with systemd",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + dashes + ".slice/cri-containerd-" + id + ".scope",
			Workload{Container: id[:12], Pod: pod, ID: id},
			pod + "/" + id[:12],
		},
		{
			"CRI-O below kubelet", "/kubepods.slice/kubepods-pod" + dashes + ".slice/crio-" + id + ".scope",
			Workload{Container: id[:12], Pod: pod, ID: id},
			pod + "/" + id[:12],
		},
		{"containerd below kubelet, without systemd", "/kubepods/besteffort/pod" + pod + "/" + id, Workload{Container: id[:12], Pod: pod, ID: id}, pod + "/" + id[:12]},
		{"a unit within LXC", "/lxc.payload.web/system.slice/nginx.service", Workload{Container: "web", Unit: "nginx.service"}, "web/nginx.service"},
		{"a unit within nspawn", "/machine.slice/systemd-nspawn@db.service/payload/system.slice/x.service", Workload{Container: "db", Unit: "x.service"}, "db/x.service"},
		{"the root is nobody's", "", Workload{}, ""},
		{"a slice is nobody's", "/user.slice/user-1000.slice", Workload{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Of(test.path)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.String() != test.text {
				t.Errorf("it is called %q; want %q", got, test.text)
			}
		})
	}
}

func tree(t *testing.T, files map[string]string) *rootfs.FS {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return rootfs.New(rootfs.Paths{Root: root})
}

func TestNamesStayWhenContainersAreMadeAnew(t *testing.T) {
	t.Parallel()
	log := "/var/log/containers/"
	for _, test := range []struct {
		name  string
		files map[string]string
		from  Workload
		want  string
	}{
		{"docker writes the name down", map[string]string{"/var/lib/docker/containers/" + id + "/config.v2.json": `{"ID":"x","Name":"/shop-db-1"}`}, Workload{Container: id[:12], ID: id}, "shop-db-1"},
		{"podman has a list", map[string]string{"/var/lib/containers/storage/overlay-containers/containers.json": `[{"id":"a","names":["b"]},{"id":"` + id + `","names":["web"]}]`}, Workload{Container: id[:12], ID: id}, "web"},
		{"kubelet links logs; a replica has no name of its own", map[string]string{log + "shop-7d9f6bb5c-xk2lp_prod_nginx-" + id + ".log": ""}, Workload{Container: id[:12], Pod: pod, ID: id}, "prod/shop/nginx"},
		{"a member of a stateful set has", map[string]string{log + "db-0_prod_postgres-" + id + ".log": ""}, Workload{Container: id[:12], Pod: pod, ID: id}, "prod/db-0/postgres"},
		{"a daemon of each node", map[string]string{log + "cilium-v8xpz_kube-system_agent-" + id + ".log": ""}, Workload{Container: id[:12], Pod: pod, ID: id}, "kube-system/cilium/agent"},
		{"a pod without a container has its directory of logs", map[string]string{"/var/log/pods/prod_shop-7d9f6bb5c-xk2lp_" + pod + "/nginx/0.log": ""}, Workload{Pod: pod}, "prod/shop"},
		{"what is written down nowhere keeps its number", nil, Workload{Container: id[:12], ID: id}, id[:12]},
		{"what is damaged is no name", map[string]string{"/var/lib/docker/containers/" + id + "/config.v2.json": `{"Name":`}, Workload{Container: id[:12], ID: id}, id[:12]},
		{"a unit needs none", nil, Workload{Unit: "ssh.service"}, "ssh.service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			names := NewNames(tree(t, test.files))
			for range 2 { // from memory, too
				if got := names.Fill(test.from, time.Unix(1, 0)).String(); got != test.want {
					t.Errorf("it is called %q; want %q", got, test.want)
				}
			}
		})
	}
}

func TestCgroupsAreFoundByTheirNumber(t *testing.T) {
	t.Parallel()
	files := tree(t, map[string]string{"sys/fs/cgroup/unified/cgroup.controllers": "", "sys/fs/cgroup/unified/system.slice/a.service/cgroup.procs": "12\n7\nx\n"})
	c := NewCgroups(files)
	number := func(path string) uint64 {
		info, err := files.Lstat("/sys/fs/cgroup/unified" + path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	now := time.Unix(1000, 0)
	for _, path := range []string{"", "/system.slice", "/system.slice/a.service"} {
		if got, known := c.Path(t.Context(), number(path), now); got != path || !known {
			t.Errorf("the cgroup of %q is %q, %t", path, got, known)
		}
	}
	for _, nobody := range []uint64{0, 1 << 60} {
		if path, known := c.Path(t.Context(), nobody, now); known {
			t.Errorf("%d is %q", nobody, path)
		}
	}
	if diff := cmp.Diff([]int{12, 7}, c.Processes("/system.slice/a.service")); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
}

// FuzzOf: whatever a cgroup is called, nothing panics, and a name is one.
func FuzzOf(f *testing.F) {
	f.Add(`/machine.slice/machine-qemu\x2d3\x2dweb.scope`)
	f.Add("/kubepods/besteffort/pod" + pod + "/" + id)
	f.Fuzz(func(t *testing.T, path string) {
		if w := Of(path); w.ID != "" && (len(w.ID) != 64 || w.Container == "") {
			t.Errorf("%q is %+v", path, w)
		}
	})
}
