package certificate

import (
	"errors"
	"path"
	"path/filepath"
	"strconv"

	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/store"
)

// A part is what of a file is an object of its own: all of a plain file, one
// entry of a store.
type part struct {
	object string
	bundle bundle.Bundle
	keys   []bundle.PrivateKey // that stand beside the certificates
	ssh    bool                // it is a certificate of OpenSSH
	set    bool                // it is one of several that a keystore trusts
	roots  bool                // it is a trust store, which is counted and not listed
	policy *policy
	facts
}

// take splits the content of a file into objects. Keystores with many trusted
// certificates are trust stores, however they name them.
func (f *file) take(name string, c store.Content, trustStoreSize int) {
	f.kind, f.open, f.lists, f.references = c.Kind, c.Open, c.CRLs, references(name, c)
	// That no password proves a store to be unchanged is no fault where nobody
	// has given any.
	for _, err := range c.Errors {
		if len(f.passwords) > 0 || !errors.Is(err, store.ErrUnverified) {
			f.errs = append(f.errs, err)
		}
	}
	trusted := 0
	for _, entry := range c.Entries {
		if entry.Trusted {
			trusted++
		}
	}
	collected := part{object: name, roots: true}
	for _, entry := range c.Entries {
		if entry.Trusted && trusted > trustStoreSize && len(entry.Errors) == 0 {
			collected.bundle.Certificates = append(collected.bundle.Certificates, entry.Certificates...)
			continue
		}
		p := part{
			object: objectOf(name, entry.Name), bundle: bundle.Bundle{Certificates: entry.Certificates, Errors: entry.Errors},
			keys: entry.Keys, set: entry.Trusted && trusted > 1,
		}
		if entry.Name == "" { // its object is the file, so its errors are those of the file
			f.errs = append(f.errs, entry.Errors...)
			p.bundle.Errors = nil
		}
		if len(entry.Certificates)+len(p.bundle.Errors) > 0 {
			f.parts = append(f.parts, p)
		}
	}
	if len(collected.bundle.Certificates) > 0 {
		f.parts = append(f.parts, collected)
	}
	for _, c := range c.SSH {
		f.parts = append(f.parts, part{object: objectOf(name, c.Name), ssh: true, bundle: bundle.Bundle{Certificates: []bundle.Certificate{fromSSH(c)}}})
	}
}

// fromSSH describes a certificate of OpenSSH in the words of X.509.
func fromSSH(c store.SSHCertificate) bundle.Certificate {
	return bundle.Certificate{
		NotBefore: c.ValidAfter, NotAfter: c.ValidBefore, Serial: strconv.FormatUint(c.Serial, 10), Subject: c.KeyID, Issuer: c.Authority,
		Fingerprint: c.Fingerprint, Key: c.Key, Signature: c.Signature,
		SANs: bundle.SANs{Names: c.Principals, NameCount: len(c.Principals)},
	}
}

// holds reports whether there is anything in the file that is watched.
func (f *file) holds() bool {
	for _, p := range f.parts {
		if len(p.bundle.Certificates) > 0 {
			return true
		}
	}
	return len(f.lists)+len(f.references) > 0
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
