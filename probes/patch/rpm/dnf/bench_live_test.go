//go:build live

package dnf

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/patch/rpm/rpmtest"
)

// large is a host with 3,000 packages, of which every sixth has an update, and a
// repository of 60,000, as large as one of Fedora: 2.5 kB each.
func large(b *testing.B) *rpmtest.World {
	b.Helper()
	w := rpmtest.New(b)
	var installed []string
	for i := range 3000 {
		installed = append(installed, fmt.Sprintf("package%d-1.%d-1.x86_64", i, i))
	}
	w.Install(append(installed, "release-9-1.x86_64 provides=system-release_=_9")...)
	w.Write("/etc/dnf/dnf.conf", "[main]\nplugins=0\n")
	dir := w.Add("base", rpmtest.Repo{})
	path := filepath.Join(b.TempDir(), "primary.xml")
	if err := os.WriteFile(path, []byte(primary60k()), 0o644); err != nil {
		b.Fatal(err)
	}
	w.Must("modifyrepo_c", "--mdtype=primary", "--compress-type=gz", path, filepath.Join(dir, "repodata"))
	w.Must("dnf", "--installroot", w.Root, "makecache")
	return w
}

func primary60k() string {
	var text strings.Builder
	text.WriteString(xml.Header + `<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="60000">` + "\n")
	for i := range 60000 {
		release := 1
		if i%6 == 0 {
			release = 2
		}
		name := fmt.Sprintf("package%d", i)
		fmt.Fprintf(&text, `<package type="rpm"><name>%s</name><arch>x86_64</arch><version epoch="0" ver="1.%d" rel="%d"/><checksum type="sha256" pkgid="YES">%064x</checksum><summary>A package</summary><description>%s</description><packager>p</packager><url>https://example.org/</url><time file="1750000000" build="1740000000"/><size package="10000" installed="20000" archive="21000"/><location href="Packages/%s-1.%d-%d.x86_64.rpm"/><format><rpm:license>MIT</rpm:license><rpm:vendor>V</rpm:vendor><rpm:group>Unspecified</rpm:group><rpm:buildhost>h</rpm:buildhost><rpm:sourcerpm>%s-1.src.rpm</rpm:sourcerpm><rpm:header-range start="4504" end="7000"/><rpm:provides><rpm:entry name="%s" flags="EQ" epoch="0" ver="1.%d" rel="%d"/>`,
			name, i, release, i, strings.Repeat("Words about it. ", 20), name, i, release, name, name, i, release)
		for k := range 8 {
			fmt.Fprintf(&text, `<rpm:entry name="lib%s.so.%d()(64bit)"/>`, name, k)
		}
		text.WriteString("</rpm:provides><rpm:requires>")
		for k := range 10 {
			fmt.Fprintf(&text, `<rpm:entry name="libpackage%d.so.%d()(64bit)"/>`, (i+k*17)%60000, k%8)
		}
		fmt.Fprintf(&text, "</rpm:requires><file>/usr/bin/%s</file></format></package>\n", name)
	}
	text.WriteString("</metadata>\n")
	return text.String()
}

// The same answer from dnf and from the agent, in one run: dnf with its own
// binary cache, which this does not use; a first look; and one at an unchanged
// host.
func BenchmarkLargeHost(b *testing.B) {
	w := large(b)
	var want int
	b.Run("dnf -C check-update", func(b *testing.B) {
		var cpu time.Duration
		for b.Loop() {
			command := w.Command("dnf", "--installroot", w.Root, "-C", "-q", "check-update")
			out, _ := command.Output() // the exit status is 100
			want = len(strings.Fields(string(out))) / 3
			cpu += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
		}
		b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
	})
	var got int
	b.Run("first look", func(b *testing.B) {
		b.ReportAllocs()
		before := used()
		for b.Loop() {
			m, err := New(w.Files()).Read(b.Context())
			if err != nil || len(m.Incomplete) > 0 {
				b.Fatal(err, m.Incomplete)
			}
			got = len(m.Updates)
		}
		b.ReportMetric(float64((used()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	})
	if got != want || got != 500 {
		b.Errorf("%d updates, and dnf says %d", got, want)
	}
	b.Run("unchanged", func(b *testing.B) {
		reader := New(w.Files())
		m, err := reader.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		b.ReportAllocs()
		before := used()
		for b.Loop() {
			if m, err = reader.Read(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((used()-before).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(memory.HeapAlloc)/1e6, "heap-MB")
		runtime.KeepAlive(m)
	})
}

// used is the time that this process has spent on processors.
func used() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
