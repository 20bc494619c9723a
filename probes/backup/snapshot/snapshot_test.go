package snapshot

import "testing"

// FuzzLists: what is accepted has a name and a time.
func FuzzLists(f *testing.F) {
	f.Add([]byte("tank/a@daily\t1700000000\t98304\n"))
	f.Add([]byte("ID 257 gen 8 cgen 8 top level 5 otime 2026-11-25 19:00:00 path snap one\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		zfs, _ := parseZFS(data)
		btrfs, _ := parseBtrfs(data)
		for _, p := range append(zfs, btrfs...) {
			if p.At.IsZero() {
				t.Errorf("%+v", p)
			}
		}
	})
}
