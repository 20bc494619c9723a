//go:build live

package rpmdb_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
	"hygiene_exporter/probes/patch/rpm/rpmtest"
	"hygiene_exporter/probes/patch/sqlite"
)

const query = `%{NAME} %{EPOCHNUM} %{VERSION} %{RELEASE} %{ARCH} %{INSTALLTIME} %{SOURCERPM}\n`

func read(t *testing.T, root string) ([]string, error) {
	t.Helper()
	files := rootfs.New(rootfs.Paths{Root: root})
	d, err := rpmdb.Find(files)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := d.Packages(files)
	var lines []string
	for _, p := range packages {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %d %s", p.Name, p.Epoch, p.Version, p.Release, p.Arch, p.InstallTime.Unix(), p.SourceRPM))
	}
	slices.Sort(lines)
	return lines, err
}

func lines(out string) []string {
	var list []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "gpg-pubkey ") {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return list
}

// sums tells whether anything about the files of a directory changes, besides
// the times at which they are read.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || e.IsDir() {
			found[path] = "directory"
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%x %s %s", sha256.Sum256(data), info.Mode(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// captures are databases of real distributions, of which a module for reading
// them comes with many: CentOS 5 to 8, Fedora, CBL-Mariner, SUSE, and RHEL on a
// big-endian machine.
func captures(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/knqyf263/go-rpmdb")
	command.Dir = "../../../../test/tools/readers"
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(module.Dir, "pkg", "testdata")
}

func TestLiveDatabasesOfDistributionsAreReadAsRPMReadsThem(t *testing.T) {
	dir := captures(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	reader := filepath.Join(t.TempDir(), "rpmdb")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", reader, "./rpmdb")
	command.Dir = "../../../../test/tools/readers"
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	count := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		t.Run(e.Name(), func(t *testing.T) {
			root := t.TempDir()
			place := filepath.Join(root, "var/lib/rpm")
			if err := os.CopyFS(place, os.DirFS(filepath.Join(dir, e.Name()))); err != nil {
				t.Fatal(err)
			}
			before := sums(t, root)
			got, err := read(t, root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, sums(t, root)); diff != "" {
				t.Errorf("reading changed files\n%s", diff)
			}
			backend := "bdb_ro"
			if _, err := os.Stat(place + "/rpmdb.sqlite"); err == nil {
				backend = "sqlite"
			}
			args := []string{"rpm", "--dbpath", place, "--define", "_db_backend " + backend, "-qa", "--qf", query}
			if _, err := os.Stat(place + "/Packages.db"); err == nil {
				args = []string{reader, place + "/Packages.db"} // Debian's rpm is built without ndb
			}
			out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).Output()
			if err != nil {
				t.Fatalf("%s: %v", args, err)
			}
			want := lines(string(out))
			if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
				t.Errorf("%d packages (-%s +ours)\n%s", len(want), filepath.Base(args[0]), diff)
			}
			count += len(got)
		})
	}
	t.Logf("%d packages", count)
}

// Beside an rpm that installs and removes packages, every reading is of one state
// or says that the database is being written; rpm never notices.
func TestLiveTheDatabaseIsReadBesideRPM(t *testing.T) {
	w := rpmtest.New(t)
	var first, second []string
	for i := range 40 {
		first = append(first, fmt.Sprintf("a%d-1-1.noarch", i))
		second = append(second, fmt.Sprintf("b%d-1-1.noarch", i))
	}
	w.Install(first...)
	rpmtest.Build(t, second)
	db := filepath.Join(w.Root, "var/lib/rpm")
	before := sums(t, db)
	quiet, err := read(t, w.Root)
	if err != nil || len(quiet) != 40 {
		t.Fatalf("%d packages, %v", len(quiet), err)
	}
	if diff := cmp.Diff(before, sums(t, db)); diff != "" {
		t.Errorf("reading changed files\n%s", diff)
	}
	if out := w.Must("rpm", "--root", w.Root, "-qa", "--qf", query); cmp.Diff(lines(out), quiet) != "" {
		t.Errorf("(-rpm +ours)\n%s", cmp.Diff(lines(out), quiet))
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		for range 6 {
			w.Install(second...)
			w.Must("rpm", append([]string{"--root", w.Root, "-e", "--justdb", "--nodeps", "--noplugins"}, names(second)...)...)
		}
	}()
	seen := map[string]int{}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		got, err := read(t, w.Root)
		switch {
		case errors.Is(err, sqlite.ErrChanging):
			seen["is being written"]++
		case err != nil:
			t.Fatal(err)
		default:
			seen[fmt.Sprint(len(got)/40)]++
			if len(got) < 40 || len(got) > 80 {
				t.Fatalf("%d packages, of which 40 stay", len(got))
			}
		}
	}
	t.Logf("readings by what they saw: %v", seen)
	if out := w.Must("rpm", "--root", w.Root, "-qa"); len(lines(out)) != 40 {
		t.Errorf("rpm has %d packages at the end", len(lines(out)))
	}
	w.Must("rpm", "--root", w.Root, "--verifydb")
}

func names(packages []string) []string {
	var list []string
	for _, p := range packages {
		list = append(list, p[:strings.Index(p, "-")])
	}
	return list
}
