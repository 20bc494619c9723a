//go:build live

package zchunk_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes/patch/rpm/zchunk"
)

// Files that zck made, with every option it has, are read as what they were made
// of; dnf5 uses the same library.
func TestLiveFilesOfZckAreRead(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&text, "<package type=\"rpm\"><name>package-%d</name><version epoch=\"0\" ver=\"%d\" rel=\"1\"/></package>\n", i, i*i)
	}
	contents := map[string]string{"large": text.String(), "small": "one line\n", "empty": ""}
	dictionary := filepath.Join(dir, "dictionary")
	if err := os.WriteFile(dictionary, []byte(strings.Repeat("<package type=\"rpm\"><name>package-</name><version epoch=\"0\" ver=\"\" rel=\"1\"/></package>\n", 20)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		source := filepath.Join(dir, name)
		if err := os.WriteFile(source, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		for i, options := range [][]string{
			nil,
			{"-u"},
			{"--compression-format=none"},
			{"-s", "<package "},
			{"-D", dictionary},
			{"-D", dictionary, "-u"},
			{"-h", "sha256"},
			{"-h", "sha512"},
			{"-h", "sha512_128"},
			{"-m", "-s", "<package "},
		} {
			path := fmt.Sprintf("%s.%d.zck", source, i)
			if out, err := exec.CommandContext(t.Context(), "zck", append(options, "-o", path, source)...).CombinedOutput(); err != nil {
				if content == "" {
					continue // older versions make no empty files
				}
				t.Fatalf("zck %s: %v; see test/packages.txt\n%s", options, err, out)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			z, err := zchunk.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Errorf("%s with %s: %v", name, options, err)
				continue
			}
			got, err := io.ReadAll(z)
			if err != nil || string(got) != content {
				t.Errorf("%s with %s: %d bytes instead of %d, %v", name, options, len(got), len(content), err)
			}
		}
	}
}
