package apt

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/patch/apt/deb822"
)

// A release is what a publisher says of a suite (the fields of a Release or
// InRelease file).
type release struct {
	origin, label, suite, codename, version string

	date, validUntil time.Time
	notAutomatic     bool
	butAutomatic     bool            // ButAutomaticUpgrades
	all              bool            // whether packages for all architectures have an index of their own
	packages         map[string]bool // paths of the indexes that are not empty, without their compression
}

// security reports whether the suite is an archive of security updates, by the
// rules of apt and unattended-upgrades, and for the extended maintenance of
// Ubuntu by those of its client.
func (r *release) security() bool {
	switch {
	case strings.HasSuffix(r.suite, "-security"), strings.HasSuffix(r.codename, "-security"):
		return true
	case r.label == "Debian-Security", r.label == "Devuan-Security":
		return true
	case r.origin == "UbuntuESM", r.origin == "UbuntuESMApps":
		return strings.HasSuffix(r.suite, "-infra-updates") || strings.HasSuffix(r.suite, "-apps-updates")
	}
	return false
}

// parseRelease reads a release file, signed inside or not. The signature is not
// checked: apt has done so before it stored the file.
func parseRelease(data []byte) release {
	if _, signed, found := bytes.Cut(data, []byte("-----BEGIN PGP SIGNED MESSAGE-----")); found {
		_, data, _ = bytes.Cut(bytes.ReplaceAll(signed, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
		data, _, _ = bytes.Cut(data, []byte("\n-----BEGIN PGP SIGNATURE-----"))
	}
	r := release{packages: map[string]bool{}}
	noAll := false
	deb822.Stanza(data).Fields(func(name, value []byte) bool {
		text := string(value)
		switch strings.ToLower(string(name)) {
		case "origin":
			r.origin = text
		case "label":
			r.label = text
		case "suite", "archive":
			r.suite = text
		case "codename":
			r.codename = text
		case "version":
			r.version = text
		case "date":
			r.date = parseDate(text)
		case "valid-until":
			r.validUntil = parseDate(text)
		case "notautomatic":
			r.notAutomatic = isTrue(text)
		case "butautomaticupgrades":
			r.butAutomatic = isTrue(text)
		case "architectures":
			r.all = slices.Contains(strings.Fields(text), "all")
		case "no-support-for-architecture-all":
			noAll = slices.Contains(strings.Fields(text), "Packages")
		case "md5sum", "sha1", "sha256", "sha512":
			r.addIndexes(text)
		}
		return true
	})
	r.all = r.all && !noAll
	return r
}

// addIndexes notes which indexes of packages are not empty.
func (r *release) addIndexes(list string) {
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if len(words) != 3 || words[1] == "0" {
			continue
		}
		dir, base, found := strings.Cut(words[2], "Packages")
		if found && (base == "" || strings.HasPrefix(base, ".")) && base != ".diff/Index" {
			r.packages[dir+"Packages"] = true
		}
	}
}

// parseDate reads an instant; one that cannot be read is unknown.
func parseDate(text string) time.Time {
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}

// isTrue reads a truth as apt does.
func isTrue(text string) bool {
	switch strings.ToLower(text) {
	case "yes", "true", "with", "on", "enable", "1":
		return true
	}
	return false
}
