//go:build live

package version_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"hygiene_exporter/probes/patch/apk/version"
)

// generate makes a valid version as Alpine's packages have them.
func generate(r *rand.Rand) string {
	text := fmt.Sprint(r.IntN(12))
	for range r.IntN(4) {
		text += "." + []string{"0", "1", "2", "9", "10", "01", "02", "09", "11"}[r.IntN(9)]
	}
	if r.IntN(4) == 0 {
		text += string("abz"[r.IntN(3)])
	}
	for range r.IntN(3) {
		text += "_" + []string{"alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"}[r.IntN(9)]
		if r.IntN(2) == 0 {
			text += fmt.Sprint(r.IntN(12))
		}
	}
	return text + fmt.Sprintf("-r%d", r.IntN(12))
}

// apk cannot run here, so another port of its code compares 20,000 pairs. It is of
// apk 2, which orders parts with several leading zeros otherwise than apk 3 does;
// no package has such, and they are left out.
func TestLiveVersionsAreComparedAsAnotherPortOfAPKDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var pairs [][2]string
	var input strings.Builder
	for range 20000 {
		p := [2]string{generate(r), generate(r)}
		if r.IntN(2) == 0 { // of the same beginning
			p[1] = p[0][:1+r.IntN(len(p[0]))] + strings.TrimLeft(generate(r), "0123456789")
		}
		if !strings.Contains(p[1], "-r") {
			p[1] += "-r0"
		}
		if !version.Valid(p[0]) || !version.Valid(p[1]) {
			continue
		}
		pairs = append(pairs, p)
		fmt.Fprintf(&input, "%s %s\n", p[0], p[1])
	}
	command := exec.CommandContext(t.Context(), "go", "run", "./apkversion")
	command.Dir = "../../../../test/tools/readers"
	command.Stdin = strings.NewReader(input.String())
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(pairs) || len(pairs) < 10000 {
		t.Fatalf("%d answers to %d pairs", len(answers), len(pairs))
	}
	refused := 0
	for i, p := range pairs {
		if answers[i] == "-" {
			refused++
			continue
		}
		if got := fmt.Sprint(version.Compare(p[0], p[1])); got != answers[i] {
			t.Errorf("%s and %s: %s, and the other port says %s", p[0], p[1], got, answers[i])
		}
	}
	t.Logf("%d pairs, %d of which the other port refuses", len(pairs), refused)
}
