package bundle

import (
	"bytes"

	"hygiene_exporter/probes/certificate/ber"
)

// An Agreement says whether two certificates name the same key.
type Agreement int

// The agreements.
const (
	Unsaid  Agreement = iota // one of them names none
	Agrees                   // they name the same
	Differs                  // they name different ones
)

// SameKey compares the key that a certificate says it is signed with to the one
// that another says it has, RFC 5280 §4.2.1.1 and §4.2.1.2.
func SameKey(der, issuer []byte) Agreement {
	_, wanted := keyIDs(der)
	had, _ := keyIDs(issuer)
	switch {
	case len(wanted) == 0 || len(had) == 0:
		return Unsaid
	case bytes.Equal(wanted, had):
		return Agrees
	}
	return Differs
}

// keyIDs returns the identifiers of the key of a certificate and of that of its
// issuer.
func keyIDs(der []byte) (own, issuer []byte) {
	outer := ber.Cursor{Rest: der}
	body := outer.Enter("certificate", ber.TagSequence).Enter("body", ber.TagSequence)
	for !body.Done() && !body.At(ber.TagNested3) {
		body.Any("field")
	}
	eachExtension(body, func(oid string, value *ber.Cursor) {
		switch oid {
		case "2.5.29.14":
			own = value.Take("identifier", ber.TagOctets).Content
		case "2.5.29.35":
			issuer = value.Enter("identifier", ber.TagSequence).Take("identifier", ber.TagContext0).Content
		}
	})
	return own, issuer
}
