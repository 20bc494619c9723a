package files_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/host"
)

// benchSize is how much data is packed. HYGIENE_FULL measures with more.
func benchSize() int {
	if os.Getenv("HYGIENE_FULL") != "" {
		return 60 << 20
	}
	return 8 << 20
}

// benchText looks like a dump: numbers, words and some noise.
func benchText(size int) []byte {
	var b bytes.Buffer
	seed := uint32(1)
	for i := 0; b.Len() < size; i++ {
		seed = seed*1664525 + 1013904223
		fmt.Fprintf(&b, "%d\tuser%d@example.org\t%x\tsome text that comes again\n", i, i%1000, seed)
	}
	return b.Bytes()[:size]
}

// BenchmarkAgainstTools measures the check of each format beside the program of
// the format that tests the same file, as a ratio of speeds.
func BenchmarkAgainstTools(b *testing.B) {
	hosts, err := host.New(host.Options{Specs: []probes.Spec{{Name: "backup", Commands: files.Kind().Commands}}})
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	plain := filepath.Join(dir, "text")
	if err := os.WriteFile(plain, benchText(benchSize()), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, format := range []struct{ name, pack, test string }{
		{"gzip", "gzip -c text > a.gz", "gzip -t a.gz"},
		{"bzip2", "bzip2 -c text > a.bz2", "bzip2 -t a.bz2"},
		{"xz", "xz -1 -c text > a.xz", "xz -t a.xz"},
		{"zstd", "zstd -qc text > a.zst", "zstd -qt a.zst"},
		{"lz4", "lz4 -qc text > a.lz4", "lz4 -qt a.lz4"},
		{"lzip", "lzip -1 -c text > a.lz", "lzip -t a.lz"},
		{"tar", "tar -cf a.tar text", "tar -xOf a.tar"},
		{"tar.gz", "tar -czf a.tar.gz text", "tar -xzOf a.tar.gz"},
		{"tar.zst", "tar --zstd -cf a.tar.zst text", "tar --zstd -xOf a.tar.zst"},
		{"zip", "zip -q a.zip text", "unzip -tqq a.zip"},
		{"7z", "7z a -bd -mx=1 a.7z text", "7z t a.7z"},
	} {
		b.Run(format.name, func(b *testing.B) {
			shell := func(line string) {
				command := exec.Command("sh", "-c", line)
				command.Dir = dir
				if err := command.Run(); err != nil { // what it prints goes nowhere
					b.Skipf("%s: %v", line, err)
				}
			}
			words := strings.Fields(format.test)
			path := filepath.Join(dir, words[len(words)-1])
			shell(format.pack)
			unit := []job.Unit{{ID: path, Bytes: 1}}
			copied := files.Kind().Open(hosts.For("backup"), job.Options{Paths: []string{path}})
			var ours, theirs time.Duration
			b.SetBytes(int64(benchSize()))
			for b.Loop() {
				start := time.Now()
				shell("nice -n 10 " + format.test) // as low as the check itself
				theirs += time.Since(start)
				start = time.Now()
				if out := copied.Check(b.Context(), job.Task{Depth: job.Read, Units: unit}); out.Err != nil {
					b.Fatal(out.Err)
				}
				ours += time.Since(start)
			}
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "speed/tool")
		})
	}
}

// BenchmarkUnchanged measures how long it takes to see that nothing of 10,000
// backups has changed.
func BenchmarkUnchanged(b *testing.B) {
	hosts, err := host.New(host.Options{Specs: []probes.Spec{{Name: "backup", Commands: files.Kind().Commands}}})
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for i := range 10_000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.gz", i)), []byte("x"), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	copied := files.Kind().Open(hosts.For("backup"), job.Options{Paths: []string{filepath.Join(dir, "*.gz")}, Settle: 1})
	for b.Loop() {
		if sight, err := copied.Look(b.Context()); err != nil || len(sight.Points) != 10_000 {
			b.Fatal(len(sight.Points), err)
		}
	}
}

// BenchmarkMemory checks an archive of 20 GiB of holes, which is small on disk,
// and reports the most memory that the agent held.
func BenchmarkMemory(b *testing.B) {
	if os.Getenv("HYGIENE_FULL") == "" {
		b.Skip("HYGIENE_FULL is not set: it reads 20 GiB")
	}
	hosts, err := host.New(host.Options{Specs: []probes.Spec{{Name: "backup", Commands: files.Kind().Commands}}})
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	path := filepath.Join(dir, "a.tar")
	command := exec.Command("sh", "-c", "truncate -s 20G hole && tar -cf - hole | dd of=a.tar bs=1M conv=sparse status=none; rm hole")
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%v %s", err, out)
	}
	copied := files.Kind().Open(hosts.For("backup"), job.Options{Paths: []string{path}})
	var most uint64
	done := make(chan struct{})
	go func() {
		var m runtime.MemStats
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, m.Sys)
			}
		}
	}()
	for b.Loop() {
		if out := copied.Check(b.Context(), job.Task{Depth: job.Read, Units: []job.Unit{{ID: path, Bytes: 1}}}); out.Err != nil {
			b.Fatal(out.Err)
		}
	}
	close(done)
	b.ReportMetric(float64(most)/(1<<20), "MiB-held")
}
