package files

import (
	"testing"

	"hygiene_exporter/probes/backup/job"
)

// FuzzLists: a list of checksums or a manifest is read to entries that have what
// a comparison needs, or it is a flaw or unsupported; never a panic.
func FuzzLists(f *testing.F) {
	f.Add([]byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  ./a\n"))
	f.Add([]byte("SHA256 (a) = e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"))
	f.Add([]byte("{\"Files\": [{\"Path\": \"a\", \"Size\": 1, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00\"}],\n\"Manifest-Checksum\": \"00\"}\n"))
	f.Add([]byte("Path = a\nSize = 1\n\nPath = b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := parseSums(data)
		if (err == nil) != (len(lines) > 0) || err != nil && !job.IsFlaw(err) {
			t.Errorf("%d lines, %v", len(lines), err)
		}
		for _, line := range lines {
			if line.name == "" || line.algorithm().Size() != len(line.sum) {
				t.Errorf("%+v", line)
			}
		}
		if files, err := parsePgManifest(data); err == nil && len(files) == 0 {
			t.Error("a manifest without files")
		}
		for _, member := range sevenZipMembers(string(data)) {
			if member["Path"] == "" {
				t.Errorf("%v", member)
			}
		}
	})
}
