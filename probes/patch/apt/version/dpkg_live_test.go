//go:build live

package version

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// pieces make up versions that differ in few places.
var pieces = []string{"0", "1", "2", "10", "09", "a", "b", "Z", "~", "~~", "+", ".", "-", "rc", "deb12u", "ubuntu", "bpo", "+b", "20240101"}

func random(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(4) == 0 {
		b.WriteString([]string{"0:", "1:", "2:", "10:"}[r.IntN(4)])
	}
	b.WriteString([]string{"0", "1", "12"}[r.IntN(3)])
	for range r.IntN(7) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return strings.TrimRight(b.String(), "-") // dpkg refuses an empty revision
}

// dpkg orders every pair of generated versions in the same way.
func TestLiveOrderIsThatOfDpkg(t *testing.T) {
	count := 1500
	if os.Getenv("HYGIENE_FULL") != "" {
		count = 12000
	}
	r := rand.New(rand.NewPCG(1, 2))
	pairs := make(chan [2]string)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for p := range pairs {
				operator := []string{"lt", "eq", "gt"}[sign(Compare(p[0], p[1]))+1]
				if out, err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", p[0], operator, p[1]).CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("dpkg does not find %q %s %q: %v %s", p[0], operator, p[1], err, out)
				}
			}
		})
	}
	for range count {
		a := random(r)
		b := random(r)
		if r.IntN(2) == 0 { // a near relative, which differs behind the first digit
			first := strings.IndexByte(a, ':') + 2
			at := first + r.IntN(len(a)-first+1)
			b = strings.TrimRight(a[:at]+pieces[r.IntN(len(pieces))]+a[at:], "-")
		}
		pairs <- [2]string{a, b}
	}
	close(pairs)
	workers.Wait()
}
