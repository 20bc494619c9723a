//go:build live

package vercmp_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"hygiene_exporter/probes/patch/pacman/vercmp"
)

var parts = []string{"0", "1", "2", "9", "10", "00", "01", "009", "a", "b", "Z", "rc", "git", "alpha", ".", "..", "_", "+", "~", "^", ".0", ":", "-", "-1", "-2", "1:"}

func version(r *rand.Rand) string {
	text := ""
	for range 1 + r.IntN(6) {
		text += parts[r.IntN(len(parts))]
	}
	return text
}

// vercmp itself compares pairs; it takes one at a time, so a shell runs it many
// times.
func TestLiveVersionsAreComparedAsPacmanDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var pairs [][2]string
	var input strings.Builder
	for range 12000 {
		p := [2]string{version(r), version(r)}
		pairs = append(pairs, p)
		fmt.Fprintf(&input, "%s\n%s\n", p[0], p[1])
	}
	command := exec.CommandContext(t.Context(), "bash", "-c", `while read -r a && read -r b; do vercmp "$a" "$b"; done`)
	command.Stdin = strings.NewReader(input.String())
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("vercmp: %v; see test/packages.txt\n%.300s", err, out)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(pairs) {
		t.Fatalf("vercmp gave %d answers to %d pairs: %.300s", len(answers), len(pairs), out)
	}
	seen := map[string]int{}
	for i, p := range pairs {
		seen[answers[i]]++
		if got := fmt.Sprint(vercmp.Compare(p[0], p[1])); got != answers[i] {
			t.Errorf("%q and %q: %s, and vercmp says %s", p[0], p[1], got, answers[i])
		}
	}
	if len(seen) != 3 {
		t.Errorf("the pairs prove little: %v", seen)
	}
	t.Logf("%d pairs, of which vercmp says %v", len(pairs), seen)
}
