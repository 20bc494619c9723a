package repodata

import (
	"encoding/xml"
	"io"
	"strings"
	"time"

	"hygiene_exporter/probes/patch/rpm/evr"
)

// An Advisory is what a publisher says about an update.
type Advisory struct {
	ID       string
	Type     string // security, bugfix, enhancement, recommended, optional, newpackage…
	Severity string // as written; empty if it is not
	Title    string
	Issued   time.Time // zero if it cannot be told
	Updated  time.Time
	Packages []AdvisoryPackage
	Updates  []AdvisoryPackage // of Packages, those with a wanted name

	RebootSuggested  bool
	RestartSuggested bool
}

// An AdvisoryPackage is a version of a package that has what the advisory is
// about.
type AdvisoryPackage struct {
	Name string
	evr.EVR
	Arch            string
	Module          Module // of the collection; its Name is empty outside modules
	RebootSuggested bool
}

// ReadAdvisories reads updateinfo.xml and calls each with the advisories that
// are about a wanted package.
func ReadAdvisories(r io.Reader, wanted func(name string) bool, each func(Advisory)) error {
	return elements(r, "update", func(element []byte) error {
		found := false
		names(element, func(name []byte) bool {
			found = wanted(string(name))
			return !found
		})
		if !found {
			return nil
		}
		a, err := decodeAdvisory(element)
		if err == nil {
			for _, p := range a.Packages {
				if wanted(p.Name) {
					a.Updates = append(a.Updates, p)
				}
			}
			a.Packages = nil
			each(a)
		}
		return err
	})
}

// update is an element of updateinfo.xml.
type update struct {
	Type     string `xml:"type,attr"`
	ID       string `xml:"id"`
	Title    string `xml:"title"`
	Severity string `xml:"severity"`
	Issued   date   `xml:"issued"`
	Updated  date   `xml:"updated"`

	Collections []struct {
		Module struct {
			Name    string `xml:"name,attr"`
			Stream  string `xml:"stream,attr"`
			Version string `xml:"version,attr"`
			Context string `xml:"context,attr"`
			Arch    string `xml:"arch,attr"`
		} `xml:"module"`
		Packages []struct {
			Name    string `xml:"name,attr"`
			Version string `xml:"version,attr"`
			Release string `xml:"release,attr"`
			Epoch   string `xml:"epoch,attr"`
			Arch    string `xml:"arch,attr"`
			Reboot  string `xml:"reboot_suggested"`
			Restart string `xml:"restart_suggested"`
		} `xml:"package"`
	} `xml:"pkglist>collection"`
}

// A date stands in an attribute or, at openSUSE, as text.
type date struct {
	Attribute string `xml:"date,attr"`
	Text      string `xml:",chardata"`
}

func decodeAdvisory(element []byte) (Advisory, error) {
	var read update
	if err := xml.Unmarshal(element, &read); err != nil {
		return Advisory{}, malformed("an advisory of updateinfo.xml: %v", err)
	}
	a := Advisory{
		ID: strings.TrimSpace(read.ID), Type: strings.ToLower(read.Type), Title: strings.TrimSpace(read.Title),
		Severity: strings.TrimSpace(read.Severity), Issued: read.Issued.time(), Updated: read.Updated.time(),
	}
	for _, c := range read.Collections {
		for _, p := range c.Packages {
			reboot := suggested(p.Reboot)
			a.RebootSuggested = a.RebootSuggested || reboot
			a.RestartSuggested = a.RestartSuggested || suggested(p.Restart)
			a.Packages = append(a.Packages, AdvisoryPackage{
				Name: p.Name, Arch: p.Arch,
				EVR:             version{Epoch: p.Epoch, Version: p.Version, Release: p.Release}.evr(),
				Module:          Module{Name: c.Module.Name, Stream: c.Module.Stream, Context: c.Module.Context},
				RebootSuggested: reboot,
			})
		}
	}
	return a, nil
}

// suggested reads the text of reboot_suggested: publishers write True or 1, and
// libsolv takes whatever is there.
func suggested(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return text != "" && text != "0" && text != "false"
}

// layouts are the dates that publishers write; all are in UTC.
var layouts = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05.999999"}

func (d date) time() time.Time {
	for _, text := range []string{d.Attribute, d.Text} {
		text = strings.TrimSpace(text)
		if at := seconds(text); !at.IsZero() {
			return at
		}
		for _, layout := range layouts {
			if at, err := time.Parse(layout, text); err == nil && at.Year() > 1990 {
				return at.UTC()
			}
		}
	}
	return time.Time{}
}
