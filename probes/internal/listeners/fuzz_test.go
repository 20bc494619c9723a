package listeners

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzDiag: whatever the kernel answers, nothing panics, and what is taken for
// an internet listener has an address.
func FuzzDiag(f *testing.F) {
	tape, err := os.ReadFile("testdata/namespace/netlink")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(tape)) {
		if raw, err := hex.DecodeString(strings.TrimSpace(line)); err == nil {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for protocol, d := range diags() {
			before := bytes.Clone(b)
			l, ok, err := d.parse(b)
			if !bytes.Equal(before, b) {
				t.Errorf("%s: the message was changed", protocol)
			}
			if ok && err == nil && protocol == TCP && !l.Address.IsValid() {
				t.Errorf("%+v has no address", l)
			}
			if l.Address.Is4In6() {
				t.Errorf("%+v is an IPv4 address in IPv6 form", l)
			}
		}
	})
}

// FuzzTable: whatever stands in a table, nothing panics, and what stands before
// it is found all the same.
func FuzzTable(f *testing.F) {
	files, err := filepath.Glob("testdata/namespace/proc/net/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	heads := map[Protocol]string{
		TCP:  "columns\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0\n",
		Unix: "columns\n0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/x\n",
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for protocol, list := range tables() {
			for _, table := range list {
				alone, _ := table.scan(bytes.NewReader(data))
				for _, l := range alone {
					if l.Address.Is4In6() || l.Port > 65535 {
						t.Errorf("%s: %+v", table.name, l)
					}
				}
				if head, has := heads[protocol]; has {
					if found, _ := table.scan(strings.NewReader(head + string(data))); len(found) == 0 || found[0].Inode != 4711 {
						t.Errorf("%s: what stands first is not found", table.name)
					}
				}
			}
		}
	})
}
