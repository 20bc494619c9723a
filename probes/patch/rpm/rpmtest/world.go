//go:build live

// Package rpmtest makes hosts and repositories with rpmbuild, rpm and
// createrepo_c, for tests that compare with real package managers.
package rpmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"hygiene_exporter/probes/internal/rootfs"
)

// A World is a host of its own below Root.
type World struct {
	t     testing.TB
	Root  string
	Env   []string // of programs, besides what they always have
	home  string
	pools string
}

// A Repo is a repository that is served from a directory.
type Repo struct {
	Packages   []string // see World.Install
	Advisories []Advisory
	Modules    string   // modules.yaml
	Options    []string // lines of its section
	Compress   string   // gz, xz, bz2 or zstd for all metadata; empty for what createrepo_c does
}

// An Advisory is an entry of updateinfo.xml.
type Advisory struct {
	ID, Type, Severity, Issued string
	Packages                   []string // NEVRAs with an epoch, where there is one
	Module                     string   // name:stream:version:context:arch
	Reboot                     bool
}

// built keeps the packages that were built, for all worlds of a test binary.
var built struct {
	sync.Mutex
	dir  string
	done map[string]string // description → path
}

// New makes an empty host.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{t: t, Root: t.TempDir(), home: t.TempDir(), pools: t.TempDir()}
	w.Write("/etc/os-release", "ID=test\nVERSION_ID=9\nPLATFORM_ID=\"platform:el9\"\n")
	w.Write("/etc/zypp/zypp.conf", "[main]\n")
	must(t, os.WriteFile(filepath.Join(w.home, ".rpmmacros"), []byte("%_dbpath /var/lib/rpm\n"), 0o644))
	return w
}

// Files is the host as the agent sees it.
func (w *World) Files() *rootfs.FS { return rootfs.New(rootfs.Paths{Root: w.Root}) }

// Write writes a file of the host.
func (w *World) Write(path, content string) {
	w.t.Helper()
	real := filepath.Join(w.Root, path)
	must(w.t, os.MkdirAll(filepath.Dir(real), 0o755))
	must(w.t, os.WriteFile(real, []byte(content), 0o644))
}

// Command is a program that works on the host.
func (w *World) Command(program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(context.Background(), program, args...)
	command.Env = append(slices.Concat(os.Environ(), w.Env), "HOME="+w.home, "LC_ALL=C", "COLUMNS=400", "ZYPP_CONF="+filepath.Join(w.Root, "etc/zypp/zypp.conf"))
	return command
}

// Run runs a program and returns what it printed and its exit status.
func (w *World) Run(program string, args ...string) (string, int) {
	w.t.Helper()
	command := w.Command(program, args...)
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		w.t.Fatalf("%s: %v; see test/packages.txt", program, err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// Must runs a program that must succeed.
func (w *World) Must(program string, args ...string) string {
	w.t.Helper()
	out, code := w.Run(program, args...)
	if code != 0 {
		w.t.Fatalf("%s %s: exit status %d\n%s", program, strings.Join(args, " "), code, out)
	}
	return out
}

// Install installs packages, in rpm's database only. Each is a NEVRA such as
// "kernel-1:5.14-2.x86_64", and further words "tag=value" for the spec file:
// obsoletes, provides, vendor; several may have the same tag.
func (w *World) Install(packages ...string) {
	w.t.Helper()
	if len(packages) == 0 {
		packages = []string{"filesystem-1-1.noarch"}
	}
	paths := Build(w.t, packages)
	w.Must("rpm", append([]string{"--root", w.Root, "-i", "--justdb", "--nodeps", "--force", "--nosignature", "--ignorearch", "--noplugins"}, paths...)...)
}

// Add makes a repository and enables it, in the files of dnf and of zypper.
func (w *World) Add(id string, r Repo) string {
	w.t.Helper()
	dir := filepath.Join(w.pools, id)
	must(w.t, os.MkdirAll(dir, 0o755))
	for _, path := range Build(w.t, r.Packages) {
		must(w.t, os.Link(path, filepath.Join(dir, filepath.Base(path))))
	}
	args := []string{"-q", dir}
	if r.Compress != "" {
		args = append(args, "--general-compress-type", r.Compress)
	}
	w.Must("createrepo_c", args...)
	for name, content := range map[string]string{"updateinfo.xml": updateinfo(w.t, r.Advisories), "modules.yaml": r.Modules} {
		if content == "" {
			continue
		}
		path := filepath.Join(w.pools, name)
		must(w.t, os.WriteFile(path, []byte(content), 0o644))
		args := []string{path, filepath.Join(dir, "repodata")}
		if r.Compress != "" {
			args = append(args, "--compress-type", r.Compress)
		}
		w.Must("modifyrepo_c", args...)
	}
	lines := slices.Concat([]string{"[" + id + "]", "name=" + id, "baseurl=file://" + dir, "enabled=1", "gpgcheck=0"}, r.Options, []string{""})
	w.Write("/etc/yum.repos.d/"+id+".repo", strings.Join(lines, "\n"))
	lines = append(lines, "autorefresh=0", "type=rpm-md", "")
	w.Write("/etc/zypp/repos.d/"+id+".repo", strings.Join(lines, "\n"))
	return dir
}

var nevra = regexp.MustCompile(`^(.+)-(?:(\d+):)?([^-:]+)-([^-]+)\.([^.]+)$`)

// Build builds packages that no test of this binary has built yet, and returns
// their paths. One spec file makes all packages of different names and the same
// architecture.
func Build(t testing.TB, packages []string) []string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.done == nil {
		dir, err := os.MkdirTemp("", "rpmtest")
		must(t, err)
		built.dir, built.done = dir, map[string]string{}
	}
	rest := slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return built.done[p] != "" })
	slices.Sort(rest)
	rest = slices.Compact(rest)
	for len(rest) > 0 {
		names := map[string]bool{}
		var batch, later []string
		arch := ""
		for _, p := range rest {
			m := nevra.FindStringSubmatch(strings.Fields(p)[0])
			if m == nil {
				t.Fatalf("%q is no NEVRA", p)
			}
			if names[m[1]] || arch != "" && m[5] != arch {
				later = append(later, p)
				continue
			}
			arch, names[m[1]] = m[5], true
			batch = append(batch, p)
		}
		build(t, batch, arch)
		rest = later
	}
	paths := make([]string, len(packages))
	for i, p := range packages {
		paths[i] = built.done[p]
	}
	return paths
}

func build(t testing.TB, packages []string, arch string) {
	t.Helper()
	var spec strings.Builder
	fmt.Fprintf(&spec, "Name: seed\nVersion: 1\nRelease: 1\nSummary: s\nLicense: x\n%%description\nx\n")
	files := map[string]string{}
	for _, p := range packages {
		words := strings.Fields(p)
		m := nevra.FindStringSubmatch(words[0])
		fmt.Fprintf(&spec, "%%package -n %s\nSummary: s\nVersion: %s\nRelease: %s\n", m[1], m[3], m[4])
		if m[2] != "" {
			fmt.Fprintf(&spec, "Epoch: %s\n", m[2])
		}
		for _, word := range words[1:] {
			tag, value, _ := strings.Cut(word, "=")
			value = strings.ReplaceAll(value, "_", " ")
			fmt.Fprintf(&spec, "%s: %s\n", strings.ToUpper(tag[:1])+tag[1:], value)
		}
		fmt.Fprintf(&spec, "%%description -n %s\nx\n%%files -n %s\n", m[1], m[1])
		files[p] = fmt.Sprintf("%s-%s-%s.%s.rpm", m[1], m[3], m[4], m[5])
	}
	top, err := os.MkdirTemp(built.dir, "top")
	must(t, err)
	path := filepath.Join(top, "test.spec")
	must(t, os.WriteFile(path, []byte(spec.String()), 0o644))
	command := exec.CommandContext(context.Background(), "rpmbuild", "-bb", "--target", arch, "--define", "_topdir "+top, "--define", "_build_id_links none", path)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("rpmbuild: %v\n%s\n%s", err, spec.String(), out)
	}
	for p, file := range files {
		built.done[p] = filepath.Join(top, "RPMS", arch, file)
	}
}

func updateinfo(t testing.TB, advisories []Advisory) string {
	if len(advisories) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n")
	for _, a := range advisories {
		fmt.Fprintf(&b, "<update from=\"test\" status=\"stable\" type=%q version=\"1\">\n<id>%s</id>\n<title>%s</title>\n", a.Type, a.ID, a.ID)
		if a.Severity != "" {
			fmt.Fprintf(&b, "<severity>%s</severity>\n", a.Severity)
		}
		if a.Issued != "" {
			fmt.Fprintf(&b, "<issued date=%q/>\n", a.Issued)
		}
		b.WriteString("<description>d</description>\n<pkglist><collection short=\"c\"><name>c</name>\n")
		if m := strings.Split(a.Module, ":"); len(m) == 5 {
			fmt.Fprintf(&b, "<module name=%q stream=%q version=%q context=%q arch=%q/>\n", m[0], m[1], m[2], m[3], m[4])
		}
		for _, p := range a.Packages {
			m := nevra.FindStringSubmatch(p)
			if m == nil {
				t.Fatalf("%q is no NEVRA", p)
			}
			epoch := m[2]
			if epoch == "" {
				epoch = "0"
			}
			fmt.Fprintf(&b, "<package name=%q version=%q release=%q epoch=%q arch=%q><filename>%s.rpm</filename>", m[1], m[3], m[4], epoch, m[5], p)
			if a.Reboot {
				b.WriteString("<reboot_suggested>True</reboot_suggested>")
			}
			b.WriteString("</package>\n")
		}
		b.WriteString("</collection></pkglist></update>\n")
	}
	b.WriteString("</updates>\n")
	return b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
