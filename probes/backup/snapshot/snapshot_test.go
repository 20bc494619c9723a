package snapshot

import (
	"bytes"
	"testing"
)

// FuzzZFS: what is accepted has a name, an instant and a unit of its own.
func FuzzZFS(f *testing.F) {
	f.Add("tank/a@daily\t1700000000\t98304\t1\t12345\n")
	f.Fuzz(func(t *testing.T, out string) {
		all, _ := parseZFS(out)
		for _, s := range all {
			if s.At.IsZero() || s.ID == "" || len(s.Units) != 1 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// FuzzStatus: a pool that lists damage is not clean.
func FuzzStatus(f *testing.F) {
	f.Add("  scan: scrub repaired 0B in 00:00:01 with 0 errors on Wed Nov 25 22:50:55 2026\nerrors: No known data errors\n")
	f.Add("errors: Permanent errors have been detected in the following files:\n\n        tank/a@one:/f\n")
	f.Fuzz(func(t *testing.T, out string) {
		if s := parseStatus(out); s.clean && s.damaged != nil && !bytes.Contains([]byte(out), []byte("following files")) {
			t.Errorf("%+v", s)
		}
	})
}

// FuzzSubvolume: what is too short is refused, and nothing else.
func FuzzSubvolume(f *testing.F) {
	f.Add(make([]byte, subvolumeSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSubvolume(data)
		if (err != nil) != (len(data) < subvolumeSize) {
			t.Errorf("%d bytes: %v", len(data), err)
		}
		if err == nil && s.ReadOnly && s.unfinished() != "" {
			t.Errorf("%+v is read-only and unfinished", s)
		}
	})
}
