package stack

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestEveryAddressIsGivenOnce: also beside other test programs.
func TestEveryAddressIsGivenOnce(t *testing.T) {
	const each = portsPerBlock + 100 // more than a block
	if os.Getenv("STACK_PORTS") != "" {
		for range each {
			address, err := freeAddress(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			os.Stdout.WriteString("address " + address + "\n")
		}
		_, _ = os.Stdin.Read(make([]byte, 1)) // the ports are ours until then
		return
	}
	seen := map[string]bool{}
	for range each {
		address, err := freeAddress(t.Context())
		if err != nil || seen[address] {
			t.Fatalf("%s is given twice: %v", address, err)
		}
		seen[address] = true
	}
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	other.Env = append(os.Environ(), "STACK_PORTS=1")
	out, err := other.Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		if address, is := strings.CutPrefix(strings.TrimSpace(line), "address "); is {
			if n++; seen[address] {
				t.Errorf("%s was given to another program too", address)
			}
		}
	}
	if n != each {
		t.Errorf("the other program was given %d addresses", n)
	}
}
