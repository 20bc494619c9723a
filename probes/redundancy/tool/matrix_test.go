package tool_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool"
)

// situations are what can have happened to a volume, and how it is recognised among
// all groups of a host. They look at what is told, and not at what a state is
// called.
func situations() map[string]func(all []group.Group) bool {
	any := func(is func(g group.Group) bool) func([]group.Group) bool {
		return func(all []group.Group) bool { return slices.ContainsFunc(all, is) }
	}
	now := func(g group.Group) (tolerated, design int) {
		if g.Needed > 0 {
			return g.Active() - g.Needed, g.Expected - g.Needed
		}
		return g.Tolerated, g.Design
	}
	works := func(g group.Group) bool { return g.Err == nil && g.Failed == "" }
	whole := func(g group.Group) bool {
		tolerated, design := now(g)
		return works(g) && design > 0 && tolerated == design
	}
	return map[string]func([]group.Group) bool{
		"healthy": any(whole),
		"degraded": any(func(g group.Group) bool {
			tolerated, design := now(g)
			return works(g) && tolerated < design && !g.Sync.Rebuilding
		}),
		"rebuilding": any(func(g group.Group) bool { return works(g) && g.Sync.Rebuilding }),
		"failed":     any(func(g group.Group) bool { t, _ := now(g); return g.Failed != "" || g.Needed > 0 && t < 0 }),
		"missing disk": any(func(g group.Group) bool {
			tolerated, design := now(g)
			gone := slices.ContainsFunc(g.Members, func(m group.Member) bool { return absent.MatchString(m.State) })
			return works(g) && tolerated < design && (gone || g.Present() < g.Expected)
		}),
		"spare": any(func(g group.Group) bool { return g.Spares > 0 }),
		// A volume has all its redundancy, a disk of it or of its controller has failed,
		// and no spare is left.
		"spare consumed": func(all []group.Group) bool {
			dead := func(g group.Group) bool {
				_, design := now(g)
				bad := slices.ContainsFunc(g.Members, func(m group.Member) bool { return !m.Active && !m.Spare })
				replaced := strings.Contains(strings.Join(g.Notes, "\n"), "takes the place of")
				return works(g) && (bad || replaced) && (design == 0 || whole(g))
			}
			spare := func(g group.Group) bool { return g.Spares > 0 }
			return slices.ContainsFunc(all, whole) && slices.ContainsFunc(all, dead) && !slices.ContainsFunc(all, spare)
		},
		"foreign": any(func(g group.Group) bool {
			return slices.ContainsFunc(g.Members, func(m group.Member) bool {
				return strings.Contains(strings.ToLower(m.State), "foreign") || strings.HasPrefix(strings.ToLower(m.State), "incomplete")
			})
		}),
		"unknown word": any(func(g group.Group) bool { return g.Err != nil && strings.Contains(g.Err.Error(), "is not understood") }),
	}
}

// absent is what tools say of a disk that is not there.
var absent = regexp.MustCompile(`(?i)missing|removed|unavail|not.present`)

// impossible says why a tool never tells of a situation.
func impossible() map[string]map[string]string {
	const noSpares, noForeign = "it has no spares", "it does not know disks of other controllers"
	return map[string]map[string]string{
		"arcconf":   {"foreign": noForeign},
		"cli64":     {},
		"dmsetup":   {"spare": noSpares, "spare consumed": noSpares, "foreign": "the kernel sets up only what is its own"},
		"drbdsetup": {"spare": noSpares, "spare consumed": noSpares, "foreign": "peers are configured", "missing disk": "a peer that is gone is told of as long as it is configured"},
		"ipmitool":  {"rebuilding": "nothing is rebuilt", "spare": noSpares, "spare consumed": noSpares, "foreign": "supplies belong to nobody", "missing disk": "a supply that is pulled out is not told of"},
		"megacli":   {},
		"sas3ircu":  {"foreign": noForeign},
		"ssacli":    {"foreign": noForeign, "missing disk": "it calls a disk that is missing failed"},
		"storcli":   {},
		"teamdctl":  {"rebuilding": "nothing is rebuilt", "spare": noSpares, "spare consumed": noSpares, "foreign": "ports are configured", "missing disk": "a port that is gone is not told of"},
		"tw_cli":    {"foreign": noForeign},
		"zpool":     {"foreign": "a pool of another host is not imported"},
	}
}

// Every tool has a state for every situation, unless it can never tell of it, and a
// fuzz target.
func TestEveryToolHasEverySituation(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	fuzzed, err := os.ReadFile("fuzz_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		files[name] = true
		if !strings.Contains(string(fuzzed), `fuzz(f, "`+name+`"`) {
			t.Errorf("%s has no fuzz target", name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := strings.Cut(string(data), "-- want --\n")
		all, order := states(t, strings.TrimSuffix(text, "\n"))
		seen := map[string]string{} // state by situation
		for _, state := range order {
			host := all[state].host(t)
			groups := tool.New(host, host.State, tool.Options{}).Read(t.Context(), time.Now()).Groups
			for situation, is := range situations() {
				if is(groups) {
					seen[situation] = state
				}
			}
		}
		for _, situation := range slices.Sorted(maps.Keys(situations())) {
			why, never := impossible()[name][situation]
			switch {
			case never && seen[situation] != "":
				t.Errorf("%s: %q is %s, although %s", name, seen[situation], situation, why)
			case !never && seen[situation] == "":
				t.Errorf("%s: no state is: %s", name, situation)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(impossible())) {
		if !files[name] {
			t.Errorf("%s has no states", name)
		}
	}
}
