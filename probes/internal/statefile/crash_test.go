package statefile_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/internal/statefile"
)

const crashDir = "STATEFILE_CRASH_DIR"

// TestMain lets the test binary be the process that TestKill kills: it saves
// one number after the other and tells each that is saved.
func TestMain(m *testing.M) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	store, err := statefile.Open(statefile.Options{Dir: dir})
	var last value
	if err == nil {
		_, err = store.File("o").Load(1, &last)
	}
	for err == nil {
		last.Count++
		last.Text = strings.Repeat(strconv.Itoa(last.Count), last.Count%5000)
		if err = store.File("o").Save(1, last); err == nil {
			fmt.Println(last.Count)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// A process that is killed at any moment leaves the value it saved last, or the
// one it was just saving, and nothing damaged. HYGIENE_FULL kills more often.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 40
	if os.Getenv("HYGIENE_FULL") != "" {
		kills = 1000
	}
	dir := t.TempDir()
	for kill := range kills {
		told := runAndKill(t, dir)
		store, err := statefile.Open(statefile.Options{Dir: dir})
		must(t, err)
		var got value
		found, err := store.File("o").Load(1, &got)
		must(t, err)
		if !found || got.Count < told || got.Count > told+1 || len(store.Notices()) != 0 {
			t.Fatalf("kill %d: Load = %v, count %d, notices %v; want %d or one more",
				kill, found, got.Count, store.Notices(), told)
		}
		if got.Text != strings.Repeat(strconv.Itoa(got.Count), got.Count%5000) {
			t.Fatalf("kill %d: a mixture of two values", kill)
		}
	}
}

// runAndKill runs a saving process, kills it at a random moment and returns the
// number it told last.
func runAndKill(t *testing.T, dir string) int {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	lines := bufio.NewScanner(out)
	told := 0
	read := func() {
		if told, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the saving process says %q", lines.Text())
		}
	}
	for range 1 + rand.IntN(8) {
		if lines.Scan() {
			read()
		}
	}
	moment := time.Now().Add(time.Duration(rand.IntN(3000)) * time.Microsecond)
	for time.Now().Before(moment) { // spinning hits moments that a timer would not
		continue
	}
	must(t, child.Process.Kill())
	for lines.Scan() {
		read()
	}
	_ = child.Wait() // it was killed
	return told
}
