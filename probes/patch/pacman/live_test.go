//go:build live

package pacman

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// A scenario is a host and its repositories. Packages are "name version", and
// further words "key=value" of a .PKGINFO file.
type scenario struct {
	name      string
	installed []string
	repos     [][]string // repo0, repo1…, the first one first
	options   []string   // lines of [options]
	sections  []string   // a line of each repository
	suffix    string     // of the databases that repo-add makes; .tar.gz if empty
	differs   string     // why pacman -Qu says something else than pacman -Su does
}

func scenarios() []scenario {
	repo := func(packages ...string) [][]string { return [][]string{packages} }
	return []scenario{
		{name: "nothing is newer", installed: []string{"a 1-1"}, repos: repo("a 1-1")},
		{name: "a newer release", installed: []string{"a 1-1"}, repos: repo("a 1-2")},
		{name: "an older version", installed: []string{"a 2-1"}, repos: repo("a 1-1")},
		{name: "an epoch beats a version", installed: []string{"a 9-1"}, repos: repo("a 1:1-1")},
		{name: "a release candidate is older", installed: []string{"a 1.0rc1-1", "b 1.0-1"}, repos: repo("a 1.0-1", "b 1.0rc2-1")},
		{name: "a git version", installed: []string{"a-git r99.abc-1"}, repos: repo("a-git r100.aaa-1")},
		{name: "a package of no repository", installed: []string{"a 1-1", "aur 1-1"}, repos: repo("a 2-1")},
		{name: "the first repository decides", installed: []string{"a 1-1"}, repos: [][]string{{"a 2-1"}, {"a 3-1"}}},
		{name: "the first repository is older", installed: []string{"a 2-1"}, repos: [][]string{{"a 1-1"}, {"a 3-1"}}},
		{name: "only the second repository has it", installed: []string{"a 1-1"}, repos: [][]string{{"b 1-1"}, {"a 3-1"}}},
		{name: "an ignored package", installed: []string{"a 1-1", "b 1-1"}, repos: repo("a 2-1", "b 2-1"), options: []string{"IgnorePkg = x a", "IgnorePkg = y"}},
		{name: "an ignored pattern", installed: []string{"linux 1-1", "linux-lts 1-1", "b 1-1"}, repos: repo("linux 2-1", "linux-lts 2-1", "b 2-1"), options: []string{"IgnorePkg = linux*"}},
		{name: "an ignored group", installed: []string{"a 1-1 group=g", "b 1-1"}, repos: repo("a 2-1 group=g", "b 2-1"), options: []string{"IgnoreGroup = g"}},
		{name: "an ignored group that only the new version is in", installed: []string{"a 1-1"}, repos: repo("a 2-1 group=g"), options: []string{"IgnoreGroup = g"}, differs: "-Qu looks at the groups of the installed version only"},
		{name: "an ignored group that only the old version is in", installed: []string{"a 1-1 group=g"}, repos: repo("a 2-1"), options: []string{"IgnoreGroup = g"}},
		{name: "a repository that must not upgrade", installed: []string{"a 1-1"}, repos: repo("a 2-1"), sections: []string{"Usage = Sync Search Install"}},
		{name: "a repository that may do all", installed: []string{"a 1-1"}, repos: repo("a 2-1"), sections: []string{"Usage = All"}},
		{name: "a package is replaced", installed: []string{"old 1-1"}, repos: repo("new 1-1 replaces=old")},
		{name: "a package is replaced below a version", installed: []string{"old 1-1", "older 5-1"}, repos: repo("new 1-1 replaces=old<2", "newer 1-1 replaces=older<2")},
		{name: "replaced and newer in the same repository", installed: []string{"old 1-1"}, repos: repo("new 1-1 replaces=old", "old 2-1"), differs: "-Qu knows nothing of replacements"},
		{name: "replaced in the first and newer in the second repository", installed: []string{"old 1-1"}, repos: [][]string{{"new 1-1 replaces=old"}, {"old 2-1"}}, differs: "-Qu knows nothing of replacements"},
		{name: "newer in the first and replaced in the second repository", installed: []string{"old 1-1"}, repos: [][]string{{"old 2-1"}, {"new 1-1 replaces=old"}}},
		{name: "a replacement that is ignored", installed: []string{"old 1-1"}, repos: repo("new 1-1 replaces=old"), options: []string{"IgnorePkg = old"}},
		{name: "a package that provides another", installed: []string{"a 1-1"}, repos: repo("b 2-1 provides=a")},
		{name: "a database in zstd", installed: []string{"a 1-1", "b 1-1"}, repos: repo("a 2-1", "b 1-1", "c 1-1"), suffix: ".tar.zst"},
		{name: "a database in xz", installed: []string{"a 1-1"}, repos: repo("a 2-1"), suffix: ".tar.xz"},
		{name: "a database without compression", installed: []string{"a 1-1"}, repos: repo("a 2-1"), suffix: ".tar"},
	}
}

// A world is a host of its own.
type world struct {
	t    *testing.T
	root string
	pool string
}

func (w world) run(program string, args ...string) (string, int) {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), program, args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		w.t.Fatalf("%s: %v; see test/packages.txt", program, err)
	}
	return string(out), command.ProcessState.ExitCode()
}

func (w world) must(program string, args ...string) string {
	w.t.Helper()
	out, code := w.run(program, args...)
	if code != 0 {
		w.t.Fatalf("%s %s: exit status %d\n%s", program, strings.Join(args, " "), code, out)
	}
	return out
}

func (w world) pacman(args ...string) []string {
	return append([]string{"--root", w.root, "--dbpath", w.root + "/var/lib/pacman", "--config", w.root + "/etc/pacman.conf", "--logfile", w.root + "/var/log/pacman.log", "--cachedir", w.pool, "--noconfirm"}, args...)
}

// pkg makes a package file.
func (w world) pkg(dir, description string) string {
	w.t.Helper()
	words := strings.Fields(description)
	info := fmt.Sprintf("pkgname = %s\npkgbase = %s\npkgver = %s\npkgdesc = d\nbuilddate = 1700000000\npackager = p\nsize = 1\narch = any\n", words[0], words[0], words[1])
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		info += key + " = " + value + "\n"
	}
	var file bytes.Buffer
	compressed := gzip.NewWriter(&file)
	archive := tar.NewWriter(compressed)
	for name, content := range map[string]string{".PKGINFO": info} {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			w.t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			w.t.Fatal(err)
		}
	}
	archive.Close()
	compressed.Close()
	path := filepath.Join(dir, words[0]+"-"+strings.ReplaceAll(words[1], ":", "_")+"-any.pkg.tar.gz")
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (s scenario) build(t *testing.T) world {
	w := world{t: t, root: t.TempDir(), pool: t.TempDir()}
	for _, dir := range []string{"/var/lib/pacman/sync", "/var/lib/pacman/local", "/etc", "/var/log"} {
		if err := os.MkdirAll(w.root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := "[options]\nArchitecture = auto\nSigLevel = Never\n" + strings.Join(s.options, "\n") + "\n"
	for i, packages := range s.repos {
		dir := filepath.Join(w.pool, fmt.Sprintf("repo%d", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		args := []string{"-q", filepath.Join(dir, fmt.Sprintf("repo%d.db%s", i, cmp.Or(s.suffix, ".tar.gz")))}
		for _, p := range packages {
			args = append(args, w.pkg(dir, p))
		}
		w.must("repo-add", args...)
		config += fmt.Sprintf("[repo%d]\nServer = file://%s\n", i, dir)
		if i < len(s.sections) {
			config += s.sections[i] + "\n"
		}
	}
	if err := os.WriteFile(w.root+"/etc/pacman.conf", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"-U", "--dbonly", "--nodeps", "--nodeps", "--noscriptlet"}
	for _, p := range s.installed {
		args = append(args, w.pkg(dir, p))
	}
	w.must("pacman", w.pacman(args...)...)
	w.must("pacman", w.pacman("-Sy")...)
	return w
}

// asked returns what pacman -Qu says, and what pacman -Su would install.
func (w world) asked() (newer, installs []string) {
	out, code := w.run("pacman", w.pacman("-Qu")...)
	if code > 1 || code == 1 && strings.TrimSpace(out) != "" {
		w.t.Fatalf("pacman -Qu: exit status %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		newer = append(newer, strings.TrimSpace(line))
	}
	out = w.must("pacman", w.pacman("-Su", "--nodeps", "--nodeps", "--print", "--print-format", "%n %v")...)
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 2 && !strings.HasPrefix(line, "warning") && !strings.HasPrefix(line, "::") {
			installs = append(installs, strings.TrimSpace(line))
		}
	}
	slices.Sort(newer)
	slices.Sort(installs)
	return newer, installs
}

func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || e.IsDir() {
			found[path] = fmt.Sprint(info.ModTime())
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

func TestLiveUpdatesAreThoseOfPacman(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			w := s.build(t)
			wantNewer, wantInstalls := w.asked()
			before := sums(t, w.root)
			m, err := New(rootfs.New(rootfs.Paths{Root: w.root})).Read(t.Context())
			if err != nil || len(m.Incomplete) > 0 {
				t.Fatal(err, m.Incomplete)
			}
			if diff := gocmp.Diff(before, sums(t, w.root)); diff != "" {
				t.Errorf("reading changed files\n%s", diff)
			}
			var newer, installs []string
			for _, u := range m.Updates {
				if !strings.Contains(u.Candidate, " ") { // -Qu knows nothing of replacements
					line := u.Package + " " + u.Installed + " -> " + u.Candidate
					if u.State == updates.Held {
						line += " [ignored]"
					}
					newer = append(newer, line)
				}
				if u.State == updates.Pending {
					install := u.Package + " " + u.Candidate
					if strings.Contains(u.Candidate, " ") {
						install = u.Candidate
					}
					installs = append(installs, install)
				}
			}
			slices.Sort(newer)
			slices.Sort(installs)
			t.Logf("pacman: %q, installs %q", wantNewer, wantInstalls)
			if diff := gocmp.Diff(wantInstalls, installs); diff != "" {
				t.Errorf("what is installed (-pacman +ours)\n%s", diff)
			}
			if s.differs != "" && gocmp.Equal(wantNewer, newer) {
				t.Errorf("nothing differs any more, although %s", s.differs)
			}
			if diff := gocmp.Diff(wantNewer, newer); diff != "" && s.differs == "" {
				t.Errorf("what is newer (-pacman +ours)\n%s", diff)
			}
			if m.Busy != updates.No {
				t.Errorf("busy is %d", m.Busy)
			}
		})
	}
}

// While pacman holds its lock, reading takes none and changes nothing.
func TestLivePacmanIsBusy(t *testing.T) {
	w := scenario{installed: []string{"a 1-1"}, repos: [][]string{{"a 2-1"}}}.build(t)
	if err := os.WriteFile(w.root+"/var/lib/pacman/db.lck", nil, 0o000); err != nil {
		t.Fatal(err)
	}
	if out, code := w.run("pacman", w.pacman("-Sy")...); code == 0 || !strings.Contains(out, "unable to lock database") {
		t.Fatalf("pacman does not mind its lock: %s", out)
	}
	before := sums(t, w.root)
	m, err := New(rootfs.New(rootfs.Paths{Root: w.root, Proc: "/proc"})).Read(t.Context())
	if err != nil || len(m.Updates) != 1 || m.Busy == updates.No {
		t.Errorf("%v, %d updates, busy is %d", err, len(m.Updates), m.Busy)
	}
	if diff := gocmp.Diff(before, sums(t, w.root)); diff != "" {
		t.Errorf("reading changed files\n%s", diff)
	}
}

// pacman upgrades a host: nothing is pending afterwards, and the log tells when
// that was, and that the lists had been synchronised.
func TestLiveAnUpgradeIsSeen(t *testing.T) {
	w := scenario{installed: []string{"a 1-1"}, repos: [][]string{{"a 2-1"}}}.build(t)
	started := time.Now()
	out, _ := w.run("pacman", w.pacman("-Syu", "--dbonly", "--nodeps", "--nodeps", "--noscriptlet")...)
	m, err := New(rootfs.New(rootfs.Paths{Root: w.root})).Read(t.Context())
	if err != nil || len(m.Updates) != 0 {
		t.Fatalf("%v, %+v\n%s", err, m.Updates, out)
	}
	for what, at := range map[string]time.Time{"upgraded": m.LastUpgrade, "synchronised": m.Repositories[0].Refreshed} {
		if at.Before(started.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("pacman %s at %v, and its log says %v\n%s", what, started, at, out)
		}
	}
}
