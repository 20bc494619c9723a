//go:build live

package apt

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/updates"
)

// fingerprint describes every file below a root: its content, its owner and
// mode, and when it was changed in any way.
func fingerprint(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		sys := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprint(info.Mode(), sys.Uid, sys.Gid, sys.Ino, sys.Size, sys.Mtim, sys.Ctim)
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		files[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Reading the files of this host changes none of them.
func TestLiveReadingChangesNothing(t *testing.T) {
	for _, dir := range []string{"/var/lib/dpkg", "/var/lib/apt", "/etc/apt", "/var/log/apt", "/var/cache/apt"} {
		before := fingerprint(t, dir)
		read(t, "/")
		if diff := cmp.Diff(before, fingerprint(t, dir)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", dir, diff)
		}
	}
}

// While dpkg is at work it is busy, it goes on undisturbed, and nothing of what
// it has is changed.
func TestLiveADpkgAtWorkIsSaidAndNotDisturbed(t *testing.T) {
	root := parseScenario(oneInstalled).build(t)
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, "etc/apt/sources.list", "deb http://x.example s main\n")
	write(t, root, "var/lib/apt/lists/x.example_dists_s_Release", "Suite: s\n")
	write(t, root, "var/lib/apt/lists/x.example_dists_s_main_binary-amd64_Packages", fill("Package: slow\nVersion: 3\n", "Architecture: amd64", "Maintainer: x", "Filename: x", "Size: 1", "Description: x"))
	if m := read(t, root); m.Busy != updates.No {
		t.Errorf("busy is %v before", m.Busy)
	}

	// A package whose installation waits until its standard input ends.
	build := t.TempDir()
	write(t, build, "DEBIAN/control", "Package: slow\nVersion: 2\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n")
	write(t, build, "DEBIAN/postinst", "#!/bin/sh\necho working\ncat >/dev/null\n")
	if err := os.Chmod(filepath.Join(build, "DEBIAN/postinst"), 0o755); err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(t.TempDir(), "slow.deb")
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--root-owner-group", "-b", build, deb).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dpkg := exec.CommandContext(t.Context(), "dpkg", "--admindir="+root+"/var/lib/dpkg", "--instdir="+t.TempDir(), "--force-script-chrootless", "--log="+root+"/var/log/dpkg.log", "-i", deb)
	input, err := dpkg.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := dpkg.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	dpkg.Stderr = os.Stderr
	if err := dpkg.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if strings.Contains(lines.Text(), "working") {
			break
		}
	}
	before := fingerprint(t, root)
	m := read(t, root)
	if m.Busy != updates.Yes {
		t.Errorf("busy is %v while dpkg is at work", m.Busy)
	}
	// What the journal says already counts: version 2 is there, and 3 is newer.
	if got := verdicts(m); len(got) != 1 || got[0] != "Inst slow 2 3" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff(before, fingerprint(t, root)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	input.Close()
	if err := dpkg.Wait(); err != nil {
		t.Errorf("dpkg was disturbed: %v", err)
	}
	if m := read(t, root); m.Busy != updates.No {
		t.Errorf("busy is %v afterwards", m.Busy)
	}
}
