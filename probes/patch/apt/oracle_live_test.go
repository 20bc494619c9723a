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
