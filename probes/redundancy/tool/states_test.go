package tool_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/probetest"
	"hygiene_exporter/probes/redundancy/tool"
)

var update = flag.Bool("update", false, "rewrite what the states say")

// A state is a host: its files, and what programs print on it.
type state struct {
	files    map[string]string
	programs map[string]probes.Output // by entry and objects
}

// Run implements probes.Commands.
func (s *state) Run(_ context.Context, entry string, objects ...string) (probes.Output, error) {
	if !slices.ContainsFunc(tool.Commands(), func(c probes.Command) bool { return c.Entry == entry }) {
		return probes.Output{}, fmt.Errorf("%s is not declared", entry)
	}
	for _, program := range []string{strings.Join(append([]string{entry}, objects...), " "), entry} {
		if out, known := s.programs[program]; known {
			return out, nil
		}
	}
	return probes.Output{}, probes.Because(probes.NotFound, fmt.Errorf("%s is not installed", entry))
}

// states reads an archive in the format txtar. Each file is named after the state
// that it belongs to, or "all", and then "fs" and its path, or a command and its
// objects; what follows an exclamation mark is an exit status. A file whose content
// begins with "-> " is a link.
func states(t *testing.T, text string) (all map[string]*state, order []string) {
	t.Helper()
	all = map[string]*state{}
	var common [][2]string
	add := func(s *state, name, content string) {
		if path, is := strings.CutPrefix(name, "fs/"); is {
			s.files[path] = content
			return
		}
		name, status, _ := strings.Cut(name, "!")
		code, _ := strconv.Atoi(status) // 0 without one
		s.programs[name] = probes.Output{Stdout: []byte(content), ExitCode: code}
	}
	for _, file := range strings.Split(text, "\n-- ")[1:] {
		heading, content, _ := strings.Cut(file, "\n")
		owner, name, ok := strings.Cut(strings.TrimSuffix(heading, " --"), "/")
		if !ok {
			t.Fatalf("%q belongs to no state", heading)
		}
		if content != "" {
			content += "\n"
		}
		if owner == "all" {
			common = append(common, [2]string{name, content})
			continue
		}
		if all[owner] == nil {
			all[owner] = &state{files: map[string]string{}, programs: map[string]probes.Output{}}
			order = append(order, owner)
			for _, c := range common {
				add(all[owner], c[0], c[1])
			}
		}
		add(all[owner], name, content)
	}
	return all, order
}

// host makes the world of a state.
func (s *state) host(t *testing.T) probes.Host {
	t.Helper()
	root := t.TempDir()
	for name, content := range s.files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, is := strings.CutPrefix(content, "-> "); is {
			if err := os.Symlink(strings.TrimSpace(target), path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	world := probetest.World{Root: root}
	host := world.Host()
	host.Commands = s
	return host
}

// told returns what is told, by line.
func told(r tool.Reading) string {
	var lines []string
	for _, g := range r.Groups {
		lines = append(lines, line(g))
	}
	for kind, err := range r.Blind {
		lines = append(lines, fmt.Sprintf("%s is blind: %s: %v", kind, probes.ReasonOf(err), err))
	}
	for kind, err := range r.Closed {
		if r.Blind[kind] == nil {
			lines = append(lines, fmt.Sprintf("%s is closed: %s: %v", kind, probes.ReasonOf(err), err))
		}
	}
	slices.Sort(lines)
	return strings.Join(append(lines, ""), "\n")
}

// Every file in testdata holds states of one tool, and at its end what they are
// taken for.
func TestStates(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no states: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text, want, ok := strings.Cut(string(data), "-- want --\n")
			if !ok {
				t.Fatal("it does not end with \"want\"")
			}
			all, order := states(t, strings.TrimSuffix(text, "\n"))
			got := ""
			for _, name := range order {
				host := all[name].host(t)
				got += name + "\n" + told(tool.New(host, host.State, tool.Options{}).Read(t.Context(), time.Now())) + "\n"
			}
			if *update {
				if err := os.WriteFile(path, []byte(text+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
