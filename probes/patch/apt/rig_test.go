package apt

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// A scenario is a host in short form, a txtar archive. The comment says what it
// is about, and the files are:
//
//   - status: stanzas of dpkg; Status and Architecture may be left out;
//   - NAME/Release and NAME/Packages (or Packages.ARCH): a repository at
//     http://NAME.example, whose suite is NAME and whose component is main;
//   - every other file stands below the root, except
//   - apt: what apt said of it.
type scenario struct {
	name    string
	archive *txtar.Archive
}

func scenarios(t testing.TB) []scenario {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scenarios", err)
	}
	var list []scenario
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, scenario{strings.TrimSuffix(filepath.Base(path), ".txtar"), archive})
	}
	return list
}

// file returns a file of the scenario.
func (s scenario) file(name string) string {
	for _, f := range s.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// build makes the host.
func (s scenario) build(t testing.TB) (root string) {
	t.Helper()
	root = t.TempDir()
	write(t, root, "var/lib/dpkg/status", "")
	for _, dir := range []string{"etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var sources strings.Builder
	for _, f := range s.archive.Files {
		repository, base := filepath.Split(f.Name)
		repository = strings.TrimSuffix(repository, "/")
		stored := "var/lib/apt/lists/" + repository + ".example_dists_" + repository + "_"
		switch {
		case f.Name == "apt":
		case f.Name == "status":
			write(t, root, "var/lib/dpkg/status", fill(string(f.Data), "Status: install ok installed", "Architecture: amd64", "Maintainer: x", "Description: x"))
		case base == "Release":
			write(t, root, stored+"Release", string(f.Data))
			fmt.Fprintf(&sources, "deb [trusted=yes] http://%s.example/ %s main\n", repository, repository)
		case strings.HasPrefix(base, "Packages"):
			arch := strings.TrimPrefix(strings.TrimPrefix(base, "Packages"), ".")
			if arch == "" {
				arch = "amd64"
			}
			write(t, root, stored+"main_binary-"+arch+"_Packages", fill(string(f.Data), "Architecture: "+arch, "Maintainer: x", "Size: 1", "Filename: x.deb", "SHA256: "+strings.Repeat("0", 64), "Description: x"))
		default:
			write(t, root, f.Name, string(f.Data))
		}
	}
	if s.file("etc/apt/sources.list") == "" {
		write(t, root, "etc/apt/sources.list", sources.String())
	}
	return root
}

func write(t testing.TB, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fill adds the fields that stanzas lack.
func fill(text string, defaults ...string) string {
	var out []string
	for stanza := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.TrimSpace(stanza) == "" {
			continue
		}
		for _, field := range defaults {
			name, _, _ := strings.Cut(field, ":")
			if !strings.Contains("\n"+stanza, "\n"+name+":") {
				stanza = strings.TrimSpace(stanza) + "\n" + field
			}
		}
		out = append(out, stanza+"\n")
	}
	return strings.Join(out, "\n")
}

// read returns what the reader says of a host.
func read(t testing.TB, root string) updates.Manager {
	t.Helper()
	m, err := New(rootfs.New(rootfs.Paths{Root: root})).Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range m.Incomplete {
		t.Errorf("incomplete: %v", err)
	}
	return m
}

// verdicts puts updates into the form in which apt's are kept: a package is to
// be installed, removed, or kept back for whatever reason. What only a pin keeps from
// being a candidate is no update for apt.
func verdicts(m updates.Manager) []string {
	lines := []string{}
	for _, u := range m.Updates {
		switch {
		case u.State == updates.Pending:
			lines = append(lines, fmt.Sprintf("Inst %s %s %s", u.Package, u.Installed, u.Candidate))
		case u.State == updates.Held && !strings.Contains(u.Notes[0], "on hold"):
		case u.State == updates.KeptBack && strings.Contains(u.Notes[0], "would remove it"):
			lines = append(lines, "Remv "+u.Package)
		default:
			lines = append(lines, "Keep "+u.Package)
		}
	}
	slices.Sort(lines)
	return lines
}

// compare reports where apt and the reader differ. Of removals the reader knows
// only those of packages that have something newer, and when apt refuses to do
// anything the reader must say that nothing will be installed.
func compare(said, got []string) string {
	if slices.Contains(said, "Error") {
		said = nil
		got = slices.DeleteFunc(got, func(line string) bool { return !strings.HasPrefix(line, "Inst ") })
	}
	var want []string
	for _, line := range said {
		kind, _, _ := strings.Cut(line, " ")
		if kind == "Inst" || kind == "Keep" || kind == "Remv" && slices.Contains(got, line) {
			want = append(want, line)
		}
	}
	return cmp.Diff(want, append([]string(nil), got...))
}

// parseScenario makes a scenario of a text.
func parseScenario(text string) scenario { return scenario{"", txtar.Parse([]byte(text))} }
