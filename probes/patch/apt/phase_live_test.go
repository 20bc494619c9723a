//go:build live

package apt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const program = `
#include <iostream>
#include <random>
#include <string>
int main() {
	std::string seed;
	while (std::getline(std::cin, seed)) {
		std::seed_seq sequence(seed.begin(), seed.end());
		std::minstd_rand engine(sequence);
		std::uniform_int_distribution<unsigned int> numbers(0, 100);
		std::cout << numbers(engine) << "\n";
	}
}
`

// The standard library of C++, with which apt draws, draws the same numbers.
func TestLiveDrawsAreThoseOfTheStandardLibrary(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "draw.cc", program)
	binary := filepath.Join(dir, "draw")
	if out, err := exec.CommandContext(t.Context(), "g++", "-o", binary, filepath.Join(dir, "draw.cc")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := rand.New(rand.NewPCG(3, 4))
	var seeds []string
	for i := range 20_000 {
		seeds = append(seeds, fmt.Sprintf("%s-%d.%d-%dubuntu%d-%016x%016x", strings.Repeat("p", 1+i%90), i%9, r.IntN(99), i%3, r.IntN(9), r.Uint64(), r.Uint64()))
	}
	command := exec.CommandContext(t.Context(), binary)
	command.Stdin = strings.NewReader(strings.Join(seeds, "\n") + "\n")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	drawn := strings.Fields(string(out))
	if len(drawn) != len(seeds) {
		t.Fatalf("%d numbers for %d seeds", len(drawn), len(seeds))
	}
	for i, seed := range seeds {
		if got := fmt.Sprint(draw(seed)); got != drawn[i] {
			t.Errorf("draw(%q) = %s, C++ draws %s", seed, got, drawn[i])
		}
	}
}
