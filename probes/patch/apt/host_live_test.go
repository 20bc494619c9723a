//go:build live

package apt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The packages and archives of this host, with holds and pins on some of what
// has updates, as apt sees them. The dependencies are real ones: what is held
// keeps back what belongs to it.
func TestLiveThisHostWithHoldsAndPinsAsAptSeesIt(t *testing.T) {
	count := 4
	if os.Getenv("HYGIENE_FULL") != "" {
		count = 30
	}
	status, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		t.Fatal(err)
	}
	var pending []string
	for _, u := range read(t, "/").Updates {
		pending = append(pending, u.Package)
	}
	if len(pending) < 10 {
		t.Fatalf("only %d updates prove nothing", len(pending))
	}
	kept := 0
	for seed := range count {
		if only := os.Getenv("HYGIENE_SEED"); only != "" && only != fmt.Sprint(seed) {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		pick := func() string { return pending[r.IntN(len(pending))] }
		root := parseScenario("this host\n").build(t)
		text := string(status)
		for range 1 + r.IntN(6) {
			text = hold(text, pick())
		}
		write(t, root, "var/lib/dpkg/status", text)
		var pins strings.Builder
		for range r.IntN(3) {
			fmt.Fprintf(&pins, "Package: %s\nPin: release *\nPin-Priority: %d\n\n", pick(), []int{-1, 50, 990}[r.IntN(3)])
		}
		if seed%4 == 3 {
			fmt.Fprintf(&pins, "Package: *\nPin: release l=Debian-Security\nPin-Priority: -1\n")
		}
		write(t, root, "etc/apt/preferences", pins.String())
		for _, name := range []string{"etc/apt/sources.list", "etc/apt/sources.list.d", "var/lib/apt/lists"} {
			os.RemoveAll(filepath.Join(root, name))
			if out, err := exec.CommandContext(t.Context(), "cp", "-a", "/"+name, filepath.Join(root, name)).CombinedOutput(); err != nil && name != "etc/apt/sources.list" {
				t.Fatalf("%v %s", err, out)
			}
		}
		said := ask(t, root)
		got := verdicts(read(t, root))
		if diff := compare(unupgraded(said, got)); diff != "" {
			t.Errorf("seed %d, preferences:\n%s(-apt +reader):\n%s", seed, pins.String(), diff)
		}
		kept += len(slices.DeleteFunc(said, func(line string) bool { return !strings.HasPrefix(line, "Keep ") }))
	}
	if kept == 0 {
		t.Error("nothing was kept back, so that the test proves nothing")
	}
	t.Logf("%d hosts, %d packages kept back", count, kept)
}

// unupgraded makes no difference between a package that is kept back and one
// that is removed: between two of the same score, the order of apt's cache
// decides.
func unupgraded(said, got []string) (saidSo, gotSo []string) {
	for _, line := range got {
		gotSo = append(gotSo, strings.Replace(line, "Remv ", "Keep ", 1))
	}
	for _, line := range said {
		kept := strings.Replace(line, "Remv ", "Keep ", 1)
		if kept == line || slices.Contains(gotSo, kept) {
			saidSo = append(saidSo, kept)
		}
	}
	slices.Sort(saidSo)
	slices.Sort(gotSo)
	return saidSo, gotSo
}

// hold sets the hold of a package in a status file.
func hold(status, name string) string {
	name, _, _ = strings.Cut(name, ":")
	before, after, found := strings.Cut(status, "Package: "+name+"\n")
	if !found {
		return status
	}
	return before + "Package: " + name + "\n" + strings.Replace(after, "Status: install ok", "Status: hold ok", 1)
}
