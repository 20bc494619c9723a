package certificate

import (
	"errors"
	"path"
	"path/filepath"
	"strings"

	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/store"
)

// A part is what of a file is an object of its own: all of a plain file, one
// entry of a store.
type part struct {
	object string
	bundle bundle.Bundle
	facts  facts
}

// parts splits the content of a file into objects. Of a certificate of OpenSSH
// the same is known as of one of X.509.
func parts(name string, c store.Content) []part {
	var list []part
	for _, entry := range c.Entries {
		b := bundle.Bundle{Certificates: entry.Certificates, Errors: entry.Errors}
		if entry.Name == "" {
			b.Others = c.Others
		}
		list = append(list, part{object: objectOf(name, entry.Name), bundle: b})
	}
	for _, ssh := range c.SSH {
		entry := ssh.KeyID
		if len(c.SSH) == 1 {
			entry = ""
		}
		list = append(list, part{object: objectOf(name, entry), bundle: bundle.Bundle{Certificates: []bundle.Certificate{{
			NotBefore: ssh.ValidAfter, NotAfter: ssh.ValidBefore, Subject: ssh.KeyID, Issuer: ssh.Authority,
			Fingerprint: ssh.Fingerprint, Key: ssh.Key, Names: ssh.Principals,
		}}}})
	}
	return list
}

// objectOf names an entry of a file.
func objectOf(name, entry string) string {
	if entry == "" {
		return name
	}
	return name + "#" + entry
}

// fileErrors returns what is wrong with the file as a whole. That no password
// proves a store to be unchanged is no fault where nobody has given any.
func fileErrors(c store.Content, passwords []string) []error {
	var errs []error
	for _, err := range c.Errors {
		if len(passwords) > 0 || !errors.Is(err, store.ErrUnverified) {
			errs = append(errs, err)
		}
	}
	return errs
}

// references returns the files that a kubeconfig names.
func references(name string, c store.Content) []string {
	var list []string
	for _, reference := range c.References {
		if !filepath.IsAbs(reference) {
			reference = path.Join(path.Dir(name), reference)
		}
		list = append(list, reference)
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
