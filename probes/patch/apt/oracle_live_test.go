//go:build live

package apt

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"hygiene_exporter/probes/patch/apt/version"
)

var update = flag.Bool("update", false, "rewrite what apt said in the scenarios")

// ask asks apt what it would do on a host. Without a root it is this one.
func ask(t testing.TB, root string) []string {
	t.Helper()
	args := []string{"-s", "-y", "--allow-unauthenticated", "--allow-downgrades", "-o", "Debug::NoLocking=true", "dist-upgrade"}
	command := exec.CommandContext(t.Context(), "apt-get", args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	if root != "" {
		conf := filepath.Join(root, "oracle.conf")
		// dpkg of this host would be asked for the architectures of the other.
		arch, _ := os.ReadFile(filepath.Join(root, "var/lib/dpkg/arch"))
		text := `Dir "` + root + `"; Dir::State::status "` + root + `/var/lib/dpkg/status"; APT::Architecture "amd64"; APT::Architectures { "amd64"; `
		for a := range strings.FieldsSeq(string(arch)) {
			if a != "amd64" {
				text += `"` + a + `"; `
			}
		}
		text += "};\nAPT::Get::Show-User-Simulation-Note \"false\";\n"
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		command.Env = append(command.Env, "APT_CONFIG="+conf)
	}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Logf("apt-get %v: %v\n%s", args, err, out)
		return []string{"Error"}
	}
	return parseSimulation(string(out))
}

// parseSimulation reads the output of a simulation. New packages and removals
// are noted too; downgrades and reinstallations are no updates.
func parseSimulation(out string) []string {
	lines := []string{}
	section := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Inst ") && len(words) > 3 && strings.HasPrefix(words[2], "["):
			installed, candidate := strings.Trim(words[2], "[]"), strings.TrimPrefix(words[3], "(")
			if version.Compare(candidate, installed) > 0 {
				lines = append(lines, "Inst "+words[1]+" "+installed+" "+candidate)
			}
		case strings.HasPrefix(line, "Inst "):
			lines = append(lines, "New "+words[1])
		case strings.HasPrefix(line, "Remv "):
			lines = append(lines, "Remv "+words[1])
		case !strings.HasPrefix(line, " "):
			section = line
		case strings.Contains(section, "kept back"), strings.Contains(section, "deferred due to phasing"):
			for _, name := range words {
				lines = append(lines, "Keep "+name)
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// Each scenario is as apt sees it, now and here.
func TestLiveScenariosAsAptSeesThem(t *testing.T) {
	list := scenarios(t)
	for _, s := range list {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			root := s.build(t)
			said := ask(t, root)
			if *update {
				s.record(t, said)
			}
			if diff := compare(said, verdicts(read(t, root))); diff != "" {
				t.Errorf("%s (-apt +reader):\n%s", s.archive.Comment, diff)
			}
		})
	}
	t.Logf("%d scenarios", len(list))
}

// record notes what apt said in the file of the scenario.
func (s scenario) record(t *testing.T, said []string) {
	s.archive.Files = slices.DeleteFunc(s.archive.Files, func(f txtar.File) bool { return f.Name == "apt" })
	text := strings.Join(append(said, "Done"), "\n") + "\n"
	s.archive.Files = append(s.archive.Files, txtar.File{Name: "apt", Data: []byte(text)})
	if err := os.WriteFile(filepath.Join("testdata", s.name+".txtar"), txtar.Format(s.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// This host is as apt sees it.
func TestLiveThisHostAsAptSeesIt(t *testing.T) {
	said := ask(t, "")
	m := read(t, "/")
	if diff := compare(said, verdicts(m)); diff != "" {
		t.Errorf("(-apt +reader):\n%s", diff)
	}
	if len(m.Packages()) < 100 || len(said) == 0 {
		t.Errorf("%d packages and %d updates prove nothing", len(m.Packages()), len(said))
	}
	t.Logf("%d packages, %d updates", len(m.Packages()), len(m.Updates))
}

// The files in which apt keeps what it fetches have the names that it says.
func TestLiveNamesOfStoredFilesAreThoseOfApt(t *testing.T) {
	const text = `deb http://deb.example.org/debian bookworm main contrib
deb [arch=i386] https://a.example:8443/x/~y/z_z s-1 main
deb http://user:p%40ss@b.example/ s/ignored main
deb file:/srv/my_repo ./
deb http://c.example/flat/ /
deb http://d.example/$(ARCH) x+y main
deb [arch+=arm64 arch-=i386] http://e.example/ a~b main
deb http://[2001:db8::1]:80/debian sid main
`
	root := parseScenario("names\n-- status --\n").build(t)
	write(t, root, "etc/apt/sources.list", text)
	out := aptGet(t, root, "-o", "APT::Architectures::=i386", "indextargets", "--no-release-info", "--format", "$(FILENAME)", "Created-By: Packages")
	want := map[string]bool{}
	for line := range strings.Lines(out) {
		if name := filepath.Base(strings.TrimSpace(line)); strings.HasSuffix(name, "_Packages") {
			want[name] = true
		}
	}
	s := &sources{native: "amd64", foreign: []string{"i386"}}
	if err := s.readFile("sources.list", []byte(text)); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, one := range s.list {
		for _, c := range one.components {
			for _, architecture := range append(slices.Clone(c.architectures), "all") {
				name := c.name + "/binary-" + architecture + "/Packages"
				if one.flat() {
					name = "Packages"
				}
				got[one.stored(name)] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 15 {
		t.Errorf("%d names (-apt +reader):\n%s", len(want), diff)
	}
}
