package rpmdb

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/rpm/evr"
)

// The tags of a package header that are read; rpm's rpmtag.h numbers them.
const (
	tagName            = 1000
	tagVersion         = 1001
	tagRelease         = 1002
	tagEpoch           = 1003
	tagInstallTime     = 1008
	tagVendor          = 1011
	tagArch            = 1022
	tagSourceRPM       = 1044
	tagProvideName     = 1047
	tagProvideVersion  = 1113
	tagModularityLabel = 5096
)

// The types of their values.
const (
	typeInt32       = 4
	typeString      = 6
	typeStringArray = 8
	typeI18N        = 9
)

const entrySize = 16

// maxEntries is rpm's own limit.
const maxEntries = 0xffff

// parseHeader reads a header as rpm keeps it in its database: two counts, an
// index of tags, and their values. The blob is not kept.
func parseHeader(blob []byte) (Package, error) {
	if len(blob) < 8 {
		return Package{}, malformed("a header of %d bytes", len(blob))
	}
	count, size := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	if count > maxEntries || uint64(len(blob)) < 8+uint64(count)*entrySize+uint64(size) {
		return Package{}, malformed("a header of %d bytes with %d entries and %d bytes of values", len(blob), count, size)
	}
	h := header{index: blob[8 : 8+count*entrySize], values: blob[8+count*entrySize:][:size]}
	var p Package
	for at := 0; at < len(h.index); at += entrySize {
		h.read(h.index[at:at+entrySize], &p)
	}
	p.Provides = h.provides()
	if p.Name == "" || p.Version == "" {
		return Package{}, malformed("a header without a name or a version")
	}
	if p.Epoch == "" {
		p.Epoch = "0"
	}
	return p, nil
}

type header struct {
	index, values                 []byte
	provideNames, provideVersions []byte
	provideCount                  uint32
}

// read fills in what one entry of the index stands for.
func (h *header) read(entry []byte, p *Package) {
	kind, count := binary.BigEndian.Uint32(entry[4:]), binary.BigEndian.Uint32(entry[12:])
	offset := binary.BigEndian.Uint32(entry[8:])
	if uint64(offset) > uint64(len(h.values)) {
		return
	}
	value := h.values[offset:]
	switch binary.BigEndian.Uint32(entry) {
	case tagName:
		p.Name = text(kind, value)
	case tagVersion:
		p.Version = text(kind, value)
	case tagRelease:
		p.Release = text(kind, value)
	case tagEpoch:
		if n, ok := number(kind, value); ok {
			p.Epoch = strconv.FormatUint(uint64(n), 10)
		}
	case tagInstallTime:
		if n, ok := number(kind, value); ok && n > 0 {
			p.InstallTime = time.Unix(int64(n), 0)
		}
	case tagArch:
		p.Arch = text(kind, value)
	case tagVendor:
		p.Vendor = text(kind, value)
	case tagSourceRPM:
		p.SourceRPM = text(kind, value)
	case tagModularityLabel:
		p.Module = text(kind, value)
	case tagProvideName:
		h.provideNames, h.provideCount = value, count
	case tagProvideVersion:
		h.provideVersions = value
	}
}

// provided are how the names begin that are worth keeping.
var provided = []string{
	"system-release", "redhat-release", "distribution-release", "suse-release",
	"installonlypkg(", "multiversion(",
}

func (h *header) provides() []Provide {
	var list []Provide
	names, versions := h.provideNames, h.provideVersions
	for range h.provideCount {
		if len(names) == 0 {
			break
		}
		name, version := untilNUL(names), untilNUL(versions)
		for _, prefix := range provided {
			if strings.HasPrefix(string(name), prefix) {
				list = append(list, Provide{string(name), string(version)})
				break
			}
		}
		names, versions = names[min(len(name)+1, len(names)):], versions[min(len(version)+1, len(versions)):]
	}
	return list
}

// text returns the first string of a value. The header ends in a NUL or the
// string ends with it.
func text(kind uint32, value []byte) string {
	if kind != typeString && kind != typeStringArray && kind != typeI18N {
		return ""
	}
	return string(untilNUL(value))
}

func untilNUL(value []byte) []byte {
	for i, b := range value {
		if b == 0 {
			return value[:i]
		}
	}
	return value
}

func number(kind uint32, value []byte) (uint32, bool) {
	if kind != typeInt32 || len(value) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(value), true
}

// A Package is what is installed of one package.
type Package struct {
	Name string
	evr.EVR
	Arch        string // empty for the keys that rpm keeps as packages
	Vendor      string
	SourceRPM   string
	Module      string // name:stream:version:context, empty outside modules
	InstallTime time.Time
	// Provides is what says which release of a distribution is installed, and
	// which packages several versions of are kept of; everything else is left out.
	Provides []Provide
}

// A Provide is a name that a package also answers to.
type Provide struct{ Name, Version string }

// NEVRA names the package as dnf does, with an epoch only if there is one.
func (p Package) NEVRA() string { return p.Name + "-" + p.String() + "." + p.Arch }

func malformed(format string, args ...any) error {
	return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
}
