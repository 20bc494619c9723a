package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"hygiene_exporter/probes/certificate/ber"
)

// The attributes of names that are told apart from the rest.
const (
	commonName   = "2.5.4.3"
	organization = "2.5.4.10"
)

// NameText returns the common name of an encoded Name, the last if there are
// several; without one, all the values that it has; and for an empty name its
// nothing.
func NameText(name []byte) string {
	if common := attribute(name, commonName); common != "" {
		return common
	}
	var all []string
	eachAttribute(name, func(_, text string) { all = append(all, text) })
	return strings.Join(all, ", ")
}

// attribute returns the last value of one kind.
func attribute(name []byte, kind string) (found string) {
	eachAttribute(name, func(oid, text string) {
		if oid == kind {
			found = text
		}
	})
	return found
}

func eachAttribute(name []byte, visit func(oid, text string)) {
	outer := ber.Cursor{Rest: name}
	for sets := outer.Enter("name", ber.TagSequence); !sets.Done(); {
		for pairs := sets.Enter("part of a name", ber.TagSet); !pairs.Done(); {
			pair := pairs.Enter("attribute", ber.TagSequence)
			oid := pair.Take("attribute type", ber.TagOID).OID()
			value := pair.Any("value")
			if pair.Err == nil {
				visit(oid, stringText(value))
			}
		}
	}
}

// stringText decodes a string of any of the types that names are written in.
// What is no valid text shows as hexadecimal.
func stringText(e ber.Element) string {
	content := e.Content
	if e.Tag == ber.TagBMPString && len(content)%2 == 0 {
		units := make([]uint16, len(content)/2)
		for i := range units {
			units[i] = uint16(content[2*i])<<8 | uint16(content[2*i+1])
		}
		return string(utf16.Decode(units))
	}
	if !utf8.Valid(content) {
		return hex.EncodeToString(content)
	}
	return string(content)
}

// The kinds of alternative names that are read, RFC 5280 §4.2.1.6.
const (
	tagEmail   = 0x81
	tagHost    = 0x82
	tagURI     = 0x86
	tagAddress = 0x87
)

// readNames reads the names of a certificate.
func readNames(list *ber.Cursor) (s SANs) {
	var all []string
	for !list.Done() {
		e := list.Any("name")
		text := ""
		switch e.Tag {
		case tagHost:
			text = strings.ToLower(stringText(e))
			s.HostNames = true
		case tagEmail, tagURI:
			text = stringText(e)
		case tagAddress:
			ip, ok := netip.AddrFromSlice(e.Content)
			if !ok {
				continue
			}
			text = ip.String()
			s.HostNames = true
		default:
			continue
		}
		s.NameCount++
		if len(s.Names) < maxNames {
			s.Names = append(s.Names, strings.Clone(text[:min(len(text), maxName)]))
		}
		all = append(all, text)
	}
	if len(all) > 0 {
		slices.Sort(all)
		sum := sha256.Sum256([]byte(strings.Join(slices.Compact(all), "\x00")))
		s.NamesHash = hex.EncodeToString(sum[:8])
	}
	return s
}
