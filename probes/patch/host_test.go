package patch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// The facts of the host as a whole: kernels, services and support, as a real
// host has them in its files.
func TestTheHostAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		root := r.world.Root
		plant := func(path, content string) {
			t.Helper()
			real := filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(real, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		plant("/etc/os-release", "ID=debian\nVERSION_ID=12\n")
		plant("/proc/stat", "btime 946684700\n")
		plant("/proc/sys/kernel/osrelease", "6.1.0-9-amd64\n")
		plant("/boot/vmlinuz-6.1.0-18-amd64", "")
		plant("/proc/7/cgroup", "0::/system.slice/nginx.service\n")
		plant("/proc/7/stat", "7 (nginx) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 100 0 0\n")
		plant("/proc/7/maps", "7f00-7f01 r-xp 00000000 fe:00 99  /usr/lib/libssl.so.3 (deleted)\n")
		plant("/usr/lib/libssl.so.3", "new")
		p := r.probe
		facts := func() []string {
			t.Helper()
			result, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, s := range result.Samples {
				if slices.Contains(systemMetrics(), s.Metric) && !strings.Contains(s.Metric.Name, "timestamp") {
					list = append(list, fmt.Sprint(strings.TrimPrefix(s.Metric.Name, "hygiene_patch_"), " ", strings.TrimSpace(strings.Join(s.Labels, " ")), " ", s.Value))
				}
			}
			for _, object := range result.Removed {
				list = append(list, "gone "+object)
			}
			slices.Sort(list)
			return list
		}
		want := []string{
			"kernel_livepatched host 0", "outdated_processes nginx.service 1", "processes host container 0", "processes host inspected 1",
			"processes host unreadable 0", "reboot_reason_info host kernel 6.1.0-18-amd64 1", "reboot_required host 1", "support_known host 1",
		}
		if diff := cmp.Diff(want, facts()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		for object, text := range map[string]string{probes.HostObject: "A reboot is required", "nginx.service": "/usr/lib/libssl.so.3"} {
			if got, err := p.Explain(t.Context(), object); err != nil || !strings.Contains(got, text) {
				t.Errorf("explain %s: %v\n%s", object, err, got)
			}
		}
		plant("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n") // rebooted
		plant("/proc/7/maps", "7f00-7f01 r-xp 00000000 fe:00 99  /usr/lib/libssl.so.3\n")
		want = []string{
			"gone nginx.service", "kernel_livepatched host 0", "processes host container 0", "processes host inspected 1",
			"processes host unreadable 0", "reboot_required host 0", "support_known host 1",
		}
		if diff := cmp.Diff(want, facts()); diff != "" {
			t.Errorf("after the reboot (-want +got)\n%s", diff)
		}
	})
}
