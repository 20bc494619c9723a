//go:build live

package evr_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes/patch/rpm/evr"
)

// parts make versions in which everything that matters meets.
var parts = []string{"0", "1", "2", "9", "10", "00", "01", "009", "a", "b", "Z", "rc", "git", "el9", ".", "..", "_", "+", "~", "~~", "^", "^^", ".0", "~rc1", "^git2"}

func version(r *rand.Rand) string {
	text := ""
	for range 1 + r.IntN(6) {
		text += parts[r.IntN(len(parts))]
	}
	return text
}

// rpm itself compares 30,000 pairs of versions and 10,000 of full EVRs.
func TestLiveVersionsAreComparedAsRPMDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var pairs [][2]string
	for range 30000 {
		pairs = append(pairs, [2]string{version(r), version(r)})
	}
	for range 10000 {
		full := func() string {
			return fmt.Sprintf("%d:%s-%s", r.IntN(3), strings.Trim(version(r), "-"), version(r))
		}
		pairs = append(pairs, [2]string{full(), full()})
	}
	var lines strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&lines, "%s %s\n", p[0], p[1])
	}
	file := filepath.Join(t.TempDir(), "pairs")
	if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	script := `%{lua: for line in io.lines("` + file + `") do local a, b = line:match("^(%S+) (%S+)$"); print(rpm.vercmp(a, b) .. "\n") end}`
	out, err := exec.CommandContext(t.Context(), "rpm", "--eval", script).CombinedOutput()
	if err != nil {
		t.Fatalf("rpm: %v; see test/packages.txt\n%.300s", err, out)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(pairs) {
		t.Fatalf("rpm gave %d answers to %d pairs: %.300s", len(answers), len(pairs), out)
	}
	seen := map[string]int{}
	for i, p := range pairs {
		seen[answers[i]]++
		if got := fmt.Sprint(evr.Compare(evr.Parse(p[0]), evr.Parse(p[1]))); got != answers[i] {
			t.Errorf("%s and %s: %s, and rpm says %s", p[0], p[1], got, answers[i])
		}
	}
	if len(seen) != 3 {
		t.Errorf("the pairs prove little: %v", seen)
	}
	t.Logf("%d pairs, of which rpm says %v", len(pairs), seen)
}
