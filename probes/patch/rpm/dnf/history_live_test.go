//go:build live

package dnf

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/rpm/rpmtest"
	"hygiene_exporter/probes/patch/updates"
)

// dnf upgrades a host: while it does, every reading is of one state or says that
// the database is being written, and reading changes no file; afterwards nothing
// is pending, and the history tells when that was.
func TestLiveAnUpgradeIsSeen(t *testing.T) {
	var installed, offered []string
	for i := range 60 {
		installed = append(installed, fmt.Sprintf("u%d-1-1.noarch", i))
		offered = append(offered, fmt.Sprintf("u%d-2-1.noarch", i))
	}
	w := scenario{installed: installed, repos: map[string]rpmtest.Repo{"base": {Packages: offered}}}.build(t)
	w.Must("ln", "-s", "/proc", w.Root+"/proc")
	reader := New(w.Files())
	before := sums(t, w.Root)
	m, err := reader.Read(t.Context())
	if err != nil || len(m.Updates) != 60 || !m.LastUpgrade.IsZero() || m.Busy != updates.No {
		t.Fatalf("%v, %d updates, last upgrade %v, busy %d", err, len(m.Updates), m.LastUpgrade, m.Busy)
	}
	if diff := cmp.Diff(before, sums(t, w.Root)); diff != "" {
		t.Errorf("reading changed files\n%s", diff)
	}
	started := time.Now()
	done := make(chan string)
	go func() {
		out, code := w.Run("dnf", "--installroot", w.Root, "-y", "--nogpgcheck", "--setopt=tsflags=justdb", "upgrade")
		done <- fmt.Sprintf("exit status %d\n%s", code, out)
	}()
	seen := map[string]int{}
	for out := ""; out == ""; {
		select {
		case out = <-done:
			if out[:13] != "exit status 0" {
				t.Fatal(out)
			}
		default:
		}
		m, err := reader.Read(t.Context())
		switch {
		case err != nil || len(m.Incomplete) > 0:
			seen["incomplete"]++
		case m.Busy == updates.Yes:
			seen["busy"]++
		default:
			seen["at rest"]++
		}
	}
	t.Logf("readings beside dnf: %v", seen)
	m, err = reader.Read(t.Context())
	if err != nil || len(m.Updates) != 0 || m.Busy != updates.No {
		t.Errorf("%v, %d updates, busy %d", err, len(m.Updates), m.Busy)
	}
	if m.LastUpgrade.Before(started.Add(-time.Second)) || m.LastUpgrade.After(time.Now().Add(time.Second)) {
		t.Errorf("dnf upgraded at %v, and its history says %v: %v", started, m.LastUpgrade, m.Notes)
	}
}

func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() {
			found[path] = fmt.Sprint(info.ModTime())
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%x %s %s", sha256.Sum256(data), info.Mode(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
