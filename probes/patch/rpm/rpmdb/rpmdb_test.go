package rpmdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/evr"
)

// A value is one entry of a header.
type value struct {
	tag, kind, count uint32
	data             string
}

// encode writes a header as rpm does.
func encode(values ...value) []byte {
	var index, data bytes.Buffer
	for _, v := range values {
		for _, n := range []uint32{v.tag, v.kind, uint32(data.Len()), v.count} {
			_ = binary.Write(&index, binary.BigEndian, n)
		}
		data.WriteString(v.data)
	}
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(values)))
	blob = binary.BigEndian.AppendUint32(blob, uint32(data.Len()))
	return append(append(blob, index.Bytes()...), data.Bytes()...)
}

var bash = encode(
	value{tagName, typeString, 1, "bash\x00"},
	value{tagVersion, typeString, 1, "5.1\x00"},
	value{tagRelease, typeString, 1, "2.el9\x00\x00"},
	value{tagEpoch, typeInt32, 1, "\x00\x00\x00\x01"},
	value{tagInstallTime, typeInt32, 1, "\x65\x00\x00\x00"},
	value{tagArch, typeString, 1, "x86_64\x00"},
	value{tagModularityLabel, typeString, 1, "m:1:2:aa\x00"},
	value{tagProvideName, typeStringArray, 3, "bash\x00system-release(releasever)\x00installonlypkg(kernel)\x00"},
	value{tagProvideVersion, typeStringArray, 3, "5.1\x009\x00\x00"},
)

func TestAHeaderIsRead(t *testing.T) {
	t.Parallel()
	got, err := parseHeader(bash)
	want := Package{
		Name: "bash", EVR: evr.EVR{Epoch: "1", Version: "5.1", Release: "2.el9"}, Arch: "x86_64", Module: "m:1:2:aa",
		InstallTime: time.Unix(0x65000000, 0),
		Provides:    []Provide{{"system-release(releasever)", "9"}, {"installonlypkg(kernel)", ""}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestADamagedHeaderIsMalformed(t *testing.T) {
	t.Parallel()
	for name, blob := range map[string][]byte{
		"empty":              nil,
		"cut":                bash[:40],
		"too many":           {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"without a name":     encode(value{tagVersion, typeString, 1, "1\x00"}),
		"a name of a number": encode(value{tagName, typeInt32, 1, "bash"}, value{tagVersion, typeString, 1, "1\x00"}),
		"an offset outside":  append([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff}, 0, 0, 0, 1),
	} {
		if p, err := parseHeader(blob); probes.ReasonOf(err) != probes.Malformed {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestTheNewestFormatIsRead(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	files := rootfs.New(rootfs.Paths{Root: root})
	if _, err := Find(files); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no database: %v", err)
	}
	for _, path := range []string{"/var/lib/rpm/Packages", "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/Packages.db"} {
		real := filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(real), 0o755), os.WriteFile(real, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
		if d, err := Find(files); err != nil || d.Path != path {
			t.Errorf("Find = %q, %v; want %q", d.Path, err, path)
		}
	}
	d, err := Find(files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Packages(files); err == nil {
		t.Error("a database of one byte was read without an error")
	}
}

// Whatever a database holds, reading ends, and no package is without a name.
func FuzzNDB(f *testing.F) {
	page := make([]byte, 8192)
	for i, n := range []uint32{ndbMagic, 0, 0, 1} {
		binary.LittleEndian.PutUint32(page[4*i:], n)
	}
	for at := 2 * ndbSlot; at < ndbPage; at += ndbSlot {
		binary.LittleEndian.PutUint32(page[at:], slotMagic)
	}
	binary.LittleEndian.PutUint32(page[2*ndbSlot+4:], 1)
	binary.LittleEndian.PutUint32(page[2*ndbSlot+8:], ndbPage/ndbUnit)
	for i, n := range []uint32{blobMagic, 1, 0, uint32(len(bash))} {
		binary.LittleEndian.PutUint32(page[ndbPage+4*i:], n)
	}
	copy(page[ndbPage+ndbBlobHeader:], bash)
	f.Add(page)
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = walkNDB(bytes.NewReader(data), int64(len(data)), func(blob []byte) error { return named(t, blob) })
	})
}

func named(t *testing.T, blob []byte) error {
	if p, err := parseHeader(blob); err == nil && (p.Name == "" || p.Version == "" || p.Epoch == "") {
		t.Errorf("%+v", p)
	}
	return nil
}

// Whatever a database holds, reading ends, and no package is without a name.
func FuzzBDB(f *testing.F) {
	f.Add(hashFile())
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := openBDB(bytes.NewReader(data), int64(len(data))); err == nil {
			_ = b.walk(func(blob []byte) error { return named(t, blob) })
		}
	})
}

// hashFile is a Berkeley DB file with one package.
func hashFile() []byte {
	file := make([]byte, 1024)
	binary.LittleEndian.PutUint32(file[12:], bdbHashMagic)
	binary.LittleEndian.PutUint32(file[20:], 512)
	binary.LittleEndian.PutUint32(file[32:], 1)
	page := file[512:]
	page[25] = bdbHashPage
	binary.LittleEndian.PutUint16(page[20:], 2)
	value := 512 - len(bash) - 1
	binary.LittleEndian.PutUint16(page[26:], 507)
	copy(page[507:], "\x01\x01\x00\x00\x00")
	value -= 5
	binary.LittleEndian.PutUint16(page[28:], uint16(value))
	page[value] = bdbHKeyData
	copy(page[value+1:], bash)
	return file
}

func TestAPackageInAHashFile(t *testing.T) {
	t.Parallel()
	b, err := openBDB(bytes.NewReader(hashFile()), 1024)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = b.walk(func(blob []byte) error {
		p, err := parseHeader(blob)
		names = append(names, p.Name)
		return err
	})
	if diff := cmp.Diff([]string{"bash"}, names); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
