package apt

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"

	"hygiene_exporter/probes/internal/rootfs"
)

// large is a host with 700 packages and an archive of 66,000, compressed as apt
// does it, in which every seventh of the installed ones has something newer.
func large(b *testing.B) string {
	b.Helper()
	root := parseScenario("large\n-- status --\n-- etc/apt/sources.list --\ndeb http://x.example/ s main\n").build(b)
	var status, available strings.Builder
	stanza := func(out *strings.Builder, i, version int, status string) {
		fmt.Fprintf(out, "Package: package-%d\n%sSource: source-%d\nVersion: %d.%d-1\nInstalled-Size: 1234\nMaintainer: Some Body <somebody@example.org>\nArchitecture: amd64\n", i, status, i/3, version, i)
		fmt.Fprintf(out, "Depends: package-%d (>= 1), package-%d | package-%d\nDescription: a package of a test\nHomepage: https://example.org/package-%d\n", i/94*94/2, i/2/94*94, i/3, i)
		fmt.Fprintf(out, "Description-md5: 0123456789abcdef0123456789abcdef\nTag: implemented-in::c, interface::daemon, network::server, role::program\nSection: net\nPriority: optional\nFilename: pool/main/p/package-%d/package-%d_%d_amd64.deb\nSize: 123456\nSHA256: %064x\n\n", i, i, i, i*7919)
	}
	for i := range 66_000 {
		version := 1
		if i%94 == 0 {
			if i%7 == 0 {
				version = 2
			}
			stanza(&status, i, 1, "Status: install ok installed\n")
		}
		stanza(&available, i, version, "")
	}
	write(b, root, "var/lib/dpkg/status", status.String())
	write(b, root, "var/lib/apt/lists/x.example_dists_s_InRelease", "Suite: s\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n")
	var packed strings.Builder
	w := lz4.NewWriter(&packed)
	if _, err := w.Write([]byte(available.String())); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	write(b, root, "var/lib/apt/lists/x.example_dists_s_main_binary-amd64_Packages.lz4", packed.String())
	return root
}

// BenchmarkCold reads everything; the limit is 0.3 s and 40 MB.
func BenchmarkCold(b *testing.B) {
	root := large(b)
	for b.Loop() {
		m, err := New(rootfs.New(rootfs.Paths{Root: root})).Read(context.Background())
		if err != nil || len(m.Updates) < 90 {
			b.Fatal(len(m.Updates), err)
		}
	}
}

// BenchmarkUnchanged looks whether anything has changed, and nothing has.
func BenchmarkUnchanged(b *testing.B) {
	r := New(rootfs.New(rootfs.Paths{Root: filepath.Clean(large(b))}))
	if _, err := r.Read(context.Background()); err != nil {
		b.Fatal(err)
	}
	r.last.tracked.begun = r.last.tracked.begun.Add(2 * coarse) // waiting would do too
	kept := r.last
	for b.Loop() {
		if _, err := r.Read(context.Background()); err != nil || r.last != kept {
			b.Fatal("read again", err)
		}
	}
}
