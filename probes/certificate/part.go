package certificate

import (
	"errors"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/store"
)

// A part is what of a file is an object of its own: all of a plain file, one
// entry of a store.
type part struct {
	object string
	ssh    bool // it is a certificate of OpenSSH
	bundle bundle.Bundle
	facts  facts
}

// take splits the content of a file into objects.
func (f *file) take(name string, c store.Content) {
	f.kind, f.crls, f.references = c.Kind, c.CRLs, references(name, c)
	// That no password proves a store to be unchanged is no fault where nobody
	// has given any.
	for _, err := range c.Errors {
		if len(f.passwords) > 0 || !errors.Is(err, store.ErrUnverified) {
			f.errs = append(f.errs, err)
		}
	}
	for _, entry := range c.Entries {
		p := part{object: objectOf(name, entry.Name), bundle: bundle.Bundle{Certificates: entry.Certificates, Errors: entry.Errors}}
		if entry.Name == "" { // its object is the file, so its errors are those of the file
			f.errs = append(f.errs, entry.Errors...)
			p.bundle.Errors, p.bundle.Others = nil, c.Others
		}
		if len(entry.Certificates)+len(p.bundle.Errors) > 0 {
			f.parts = append(f.parts, p)
		}
	}
	for _, c := range c.SSH {
		f.parts = append(f.parts, part{object: objectOf(name, c.Name), ssh: true, bundle: bundle.Bundle{Certificates: []bundle.Certificate{{
			NotBefore: c.ValidAfter, NotAfter: c.ValidBefore, Serial: strconv.FormatUint(c.Serial, 10), Subject: c.KeyID, Issuer: c.Authority,
			Fingerprint: c.Fingerprint, Key: c.Key, Signature: c.Signature, Names: c.Principals,
		}}}})
	}
}

// holds reports whether there is anything in the file that is watched.
func (f *file) holds() bool {
	for _, p := range f.parts {
		if len(p.bundle.Certificates) > 0 {
			return true
		}
	}
	return len(f.crls)+len(f.references) > 0
}

// objectOf names an entry of a file.
func objectOf(name, entry string) string {
	if entry == "" {
		return name
	}
	return name + "#" + entry
}

// references returns the files that a kubeconfig names.
func references(name string, c store.Content) []candidate {
	var list []candidate
	for _, reference := range c.References {
		if !filepath.IsAbs(reference) {
			reference = path.Join(path.Dir(name), reference)
		}
		list = append(list, candidate{path: path.Clean(reference), explicit: true, from: name})
	}
	return list
}

// lines splits a file of passwords. White space may belong to a password; only
// the ends of lines do not.
func lines(text []byte) []string {
	var list []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			list = append(list, line)
		}
	}
	return list
}
