package redundancy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/probetest"
	"hygiene_exporter/probes/redundancy/group"
)

// A rig is a host that a test changes, and a probe that looks at it.
type rig struct {
	t      *testing.T
	world  *probetest.World
	config *Config
	probe  probes.Probe
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, world: &probetest.World{Root: t.TempDir()}, config: defaultConfig()}
	r.restart()
	return r
}

// restart begins anew with what was saved.
func (r *rig) restart() {
	r.t.Helper()
	if err := r.config.Validate(); err != nil {
		r.t.Fatal(err)
	}
	p, err := r.config.New(r.world.Host())
	if err != nil {
		r.t.Fatal(err)
	}
	r.probe = p
}

// An archive is the state of a host in a file of the format txtar: a comment, and files.
type archive struct {
	comment string
	files   []file
}

type file struct{ name, content string }

// parse reads a state.
func parse(data []byte) (a archive) {
	for text := range strings.Lines(string(data)) {
		if name, is := strings.CutPrefix(strings.TrimSpace(text), "-- "); is && strings.HasSuffix(name, " --") {
			a.files = append(a.files, file{name: strings.TrimSuffix(name, " --")})
			continue
		}
		if len(a.files) == 0 {
			a.comment += text
			continue
		}
		a.files[len(a.files)-1].content += text
	}
	return a
}

// host replaces everything on the host. A file whose content begins with "-> "
// is a link.
func (r *rig) host(a archive) {
	r.t.Helper()
	entries, err := os.ReadDir(r.world.Root)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(r.world.Root, entry.Name())); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, f := range a.files {
		r.write(f.name, f.content)
	}
}

func (r *rig) write(name, content string) {
	r.t.Helper()
	if err := place(r.world.Root, name, content); err != nil {
		r.t.Fatal(err)
	}
}

// place puts a file or a link below a root.
func place(root, name, content string) error {
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if target, is := strings.CutPrefix(strings.TrimSpace(content), "-> "); is {
		return os.Symlink(target, path)
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// remove takes a file or a whole tree from the host.
func (r *rig) remove(name string) {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.world.Root, name)); err != nil {
		r.t.Fatal(err)
	}
}

// run runs the probe once.
func (r *rig) run() probes.Result {
	r.t.Helper()
	result, err := r.probe.Run(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// short returns for each object its state, what it tolerates of what it should,
// the members that are active, expected and missing, and what is wrong.
func short(result probes.Result) map[string]string {
	type seen map[string]string
	objects := map[string]seen{}
	for _, s := range result.Samples {
		of := objects[s.Object()]
		if of == nil {
			of = seen{}
			objects[s.Object()] = of
		}
		name := strings.TrimPrefix(s.Metric.Name, "hygiene_redundancy_")
		switch {
		case s.Metric == state && s.Value == 1:
			of["state"] += s.Label("state")
		case s.Metric == unverifiable:
			of["doubt"] = " unverifiable:" + s.Label("reason")
		case s.Metric == sharedDomain:
			of["domain"] = " shared:" + s.Label("domain")
		case s.Metric != state:
			of[name] = fmt.Sprint(s.Value)
		}
	}
	lines := map[string]string{}
	for object, of := range objects {
		if of["failures_tolerated"] == "" {
			of["failures_tolerated"] = "?"
		}
		text := of["state"]
		if of["members_expected"] != "" {
			text += fmt.Sprintf(" tolerates %s/%s active %s/%s missing %s", of["failures_tolerated"], of["failures_tolerated_design"],
				of["members_active"], of["members_expected"], of["members_missing"])
		}
		if of["spares_expected"] != "0" && of["spares_expected"] != "" {
			text += fmt.Sprintf(" spares %s/%s", of["spares_available"], of["spares_expected"])
		}
		if of["sync_ratio"] != "" {
			text += " at " + of["sync_ratio"]
		}
		lines[object] = text + of["doubt"] + of["domain"]
	}
	for _, fault := range result.Faults {
		lines[fault.Object] += " fault:" + string(fault.Reason)
	}
	for _, object := range result.Removed {
		lines[object] += " gone"
	}
	return lines
}

// lines prints what short returns.
func lines(m map[string]string) string {
	var b strings.Builder
	for _, object := range slices.Sorted(keys(m)) {
		fmt.Fprintf(&b, "%s: %s\n", object, strings.TrimSpace(m[object]))
	}
	return b.String()
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// raid1Rebuild makes groups at some point of a rebuild.
type raid1Rebuild struct{}

func (raid1Rebuild) at(ratio float64, running bool) *group.Group {
	return &group.Group{Known: true, Sync: group.Sync{Rebuilding: running, HasRatio: running, Ratio: ratio}}
}
