package command

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCompanion is what the other test starts as another process. By itself, it
// has nothing to read.
func TestCompanion(t *testing.T) {
	session, err := unix.Getsid(0)
	fmt.Println("companion", err == nil && session == os.Getpid(), len(os.Environ()) == len(environment()))
	said, _ := io.ReadAll(os.Stdin)
	fmt.Printf("heard %q\n", said)
}

func TestACompanionHasASessionOfItsOwnAndHearsTheEnd(t *testing.T) {
	c, err := Detached([]string{"-test.run=^TestCompanion$"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Out.Close()
	lines := bufio.NewScanner(c.Out)
	next := func() string {
		lines.Scan()
		return lines.Text()
	}
	if got := next(); got != "companion true true" {
		t.Errorf("it says %q: not its own session, or our environment", got)
	}
	fmt.Fprint(c.In, "hello")
	c.In.Close() // as the kernel does when we die
	if got := next(); got != `heard "hello"` {
		t.Errorf("it says %q", got)
	}
}
