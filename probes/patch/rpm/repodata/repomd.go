// Package repodata reads the metadata of RPM repositories as createrepo_c, pulp
// and the Open Build Service write it: repomd.xml, primary.xml, updateinfo.xml,
// modules.yaml and the SQLite form of primary that yum keeps. Large files are
// streamed, and only what concerns the packages that the caller asks for is
// decoded.
package repodata

import (
	"encoding/xml"
	"io"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// An Index is a repomd.xml: the list of the files of a repository.
type Index struct {
	// Revision is when the metadata was made, if the publisher says so: most
	// write the time, some a number of their own.
	Revision time.Time
	Files    map[string]File // by type, such as "primary"
}

// A File is one entry of an Index.
type File struct {
	Name     string // last part of its location
	Made     time.Time
	Checksum string
	Size     int64 // 0 if the index does not say
}

// Published returns when the metadata was made: the newest date of its files,
// or else the revision. It is zero if the index has no date.
func (i Index) Published() time.Time {
	var newest time.Time
	for _, file := range i.Files {
		if file.Made.After(newest) {
			newest = file.Made
		}
	}
	if newest.IsZero() {
		return i.Revision
	}
	return newest
}

// ParseIndex reads a repomd.xml.
func ParseIndex(r io.Reader) (Index, error) {
	var document struct {
		Revision string `xml:"revision"`
		Data     []struct {
			Type     string `xml:"type,attr"`
			Checksum string `xml:"checksum"`
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
			Timestamp string `xml:"timestamp"`
			Size      int64  `xml:"size"`
		} `xml:"data"`
	}
	if err := xml.NewDecoder(r).Decode(&document); err != nil {
		return Index{}, malformed("repomd.xml: %v", err)
	}
	index := Index{Revision: seconds(document.Revision), Files: map[string]File{}}
	for _, data := range document.Data {
		if data.Type == "" || data.Location.Href == "" {
			continue
		}
		index.Files[data.Type] = File{
			Name:     path.Base(data.Location.Href),
			Made:     seconds(data.Timestamp),
			Checksum: strings.TrimSpace(data.Checksum),
			Size:     data.Size,
		}
	}
	return index, nil
}

// seconds reads an instant in seconds since the epoch, with or without a
// fraction. Anything else, and what cannot be an instant of a repository, is
// zero.
func seconds(text string) time.Time {
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(value) || value > 100e9 {
		return time.Time{}
	}
	return instant(int64(value))
}

func instant(value int64) time.Time {
	if value < 500e6 || value > 100e9 {
		return time.Time{}
	}
	return time.Unix(value, 0)
}
