// Package rpmdbtest makes databases of installed packages for tests that run
// without rpm.
package rpmdbtest

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"hygiene_exporter/probes/patch/rpm/rpmdb"
)

// The numbers of the format, as in rpm's lib/backend/ndb/rpmpkg.c.
const (
	page = 4096
	slot = 16
)

// NDB returns a Packages.db with these packages, in the format that SUSE uses.
func NDB(packages ...rpmdb.Package) []byte {
	var blobs bytes.Buffer
	slots := bytes.NewBuffer(words("RpmP", 0, 1, 1, uint32(len(packages)+1), 0, 0, 0))
	for i, p := range packages {
		blob := Header(p)
		slots.Write(words("Slot", uint32(i+1), uint32(page+blobs.Len())/16, uint32(len(blob)/16+2)))
		blobs.Write(words("BlbS", uint32(i+1), 1, uint32(len(blob))))
		blobs.Write(blob)
		blobs.Write(make([]byte, 16-blobs.Len()%16+12))
		blobs.Write(make([]byte, (16-blobs.Len()%16)%16))
	}
	for slots.Len() < page {
		slots.Write(words("Slot", 0, 0, 0))
	}
	if slots.Len() > page {
		panic("more packages than fit on a page of slots")
	}
	return append(slots.Bytes(), blobs.Bytes()...)
}

func words(magic string, numbers ...uint32) []byte {
	out := []byte(magic)
	for _, n := range numbers {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return out
}

// Header returns a package as rpm keeps it.
func Header(p rpmdb.Package) []byte {
	var index, data bytes.Buffer
	count := uint32(0)
	add := func(tag, kind uint32, values ...string) {
		count++
		for _, n := range []uint32{tag, kind, uint32(data.Len()), uint32(len(values))} {
			index.Write(binary.BigEndian.AppendUint32(nil, n))
		}
		data.WriteString(strings.Join(values, "\x00") + "\x00")
	}
	const text, list = 6, 8
	add(1000, text, p.Name)
	add(1001, text, p.Version)
	add(1002, text, p.Release)
	add(1011, text, p.Vendor)
	add(1022, text, p.Arch)
	add(1044, text, p.SourceRPM)
	if p.Module != "" {
		add(5096, text, p.Module)
	}
	if len(p.Provides) > 0 {
		var names, versions []string
		for _, provide := range p.Provides {
			names, versions = append(names, provide.Name), append(versions, provide.Version)
		}
		add(1047, list, names...)
		add(1113, list, versions...)
	}
	number := func(tag uint32, n uint64) {
		data.Write(make([]byte, (4-data.Len()%4)%4))
		count++
		for _, n := range []uint32{tag, 4, uint32(data.Len()), 1} {
			index.Write(binary.BigEndian.AppendUint32(nil, n))
		}
		data.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
	}
	if epoch, err := strconv.ParseUint(p.Epoch, 10, 32); err == nil && epoch > 0 {
		number(1003, epoch)
	}
	if !p.InstallTime.IsZero() {
		number(1008, uint64(p.InstallTime.Unix()))
	}
	blob := binary.BigEndian.AppendUint32(nil, count)
	blob = binary.BigEndian.AppendUint32(blob, uint32(data.Len()))
	return append(append(blob, index.Bytes()...), data.Bytes()...)
}
