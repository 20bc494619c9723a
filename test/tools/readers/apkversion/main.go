// The program apkversion compares pairs of versions, one on each line, as apk
// does: a port of its code that is independent of the agent's. It prints "-" for
// versions that it refuses.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	version "github.com/knqyf263/go-apk-version"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		a, b, _ := strings.Cut(lines.Text(), " ")
		left, errA := version.NewVersion(a)
		right, errB := version.NewVersion(b)
		if errA != nil || errB != nil {
			fmt.Println("-")
			continue
		}
		fmt.Println(left.Compare(right))
	}
}
