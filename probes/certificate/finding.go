package certificate

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes/certificate/bundle"
)

// Findings of a certificate: checks that it fails. The set is closed.
const (
	nonconforming   = "nonconforming"
	weakKey         = "weak_key"
	weakSignature   = "weak_signature"
	chainDisordered = "chain_disordered"
	keyMismatch     = "key_mismatch"
	keyExposed      = "key_exposed"
)

func findings() []string {
	return []string{nonconforming, weakKey, weakSignature, chainDisordered, keyMismatch, keyExposed}
}

// A verdict is the result of a check. What could not be checked is unknown: it
// is neither a finding nor in order.
type verdict uint8

const (
	unknown verdict = iota
	pass
	fail
)

func of(failed bool) verdict {
	if failed {
		return fail
	}
	return pass
}

// judge makes the checks on one certificate of a part of a file.
func judge(p part, names []string, i int, key privateKey) map[string]verdict {
	b := p.bundle
	c := b.Certificates[i]
	if p.ssh {
		return map[string]verdict{weakKey: keyStrength(c.Key), weakSignature: of(c.Signature == "ssh-rsa" || c.Signature == "ssh-dss")}
	}
	v := map[string]verdict{
		nonconforming: of(c.Nonconforming != nil),
		weakKey:       keyStrength(c.Key),
		// The signature of a certificate that signs itself is never checked.
		weakSignature: of(!c.SelfSigned && (strings.HasPrefix(c.Signature, "MD5") || strings.Contains(c.Signature, "SHA1"))),
	}
	switch {
	case names[i] == "leaf":
		v[keyMismatch], v[keyExposed] = key.matches(c), key.exposed()
	case strings.HasPrefix(names[i], "chain"):
		v[chainDisordered] = order(b.Certificates, names, i)
	}
	return v
}

// keyStrength fails keys that NIST SP 800-131A no longer allows.
func keyStrength(key string) verdict {
	algorithm, size, _ := strings.Cut(key, "-")
	bits, err := strconv.Atoi(strings.TrimPrefix(size, "P-"))
	switch algorithm {
	case "ed25519":
		return pass
	case "dsa":
		return fail
	case "rsa":
		return of(err != nil || bits < 2048)
	case "ecdsa":
		return of(err != nil || bits < 256)
	}
	return unknown
}

// order fails a certificate that has not issued the one before it. Clients of
// old demand this order (RFC 5246 §7.4.2), and TLS 1.3 still asks for it.
func order(certificates []bundle.Certificate, names []string, i int) verdict {
	if i == 0 {
		return fail // the leaf comes first
	}
	if names[i-1] != "leaf" && !strings.HasPrefix(names[i-1], "chain") {
		return unknown // it stands behind another leaf
	}
	return of(certificates[i-1].IssuerHash != certificates[i].SubjectHash)
}

// A privateKey is what was found of the private key of a file.
type privateKey struct {
	path     string // where it is; empty when none was found
	identity identity
	mode     fs.FileMode
	keys     []bundle.PrivateKey
	err      error // it is there and cannot be read
}

// matches compares the key with the certificate. A key that is not found, not
// readable or encrypted says nothing.
func (k privateKey) matches(c bundle.Certificate) verdict {
	known := false
	for _, key := range k.keys {
		if key.PublicHash == c.PublicHash {
			return pass
		}
		known = known || key.Err == nil
	}
	if !known {
		return unknown
	}
	return fail
}

// exposed fails a key that every user of the host can read, encrypted or not.
func (k privateKey) exposed() verdict {
	if k.path == "" || k.err == nil && len(k.keys) == 0 {
		return unknown
	}
	return of(k.mode&0o004 != 0)
}

// same reports whether the key is as it was before.
func (k privateKey) same(before privateKey) bool {
	return k.path == before.path && k.identity == before.identity && (k.err == nil) == (before.err == nil)
}

// keyPlace is where the private key of a certificate usually is: in the same
// file, or beside it under a name that follows from that of the certificate.
func keyPlace(name string, b bundle.Bundle) string {
	if slices.ContainsFunc(b.Others, func(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") }) {
		return name
	}
	switch path.Base(name) {
	case "fullchain.pem", "cert.pem": // certbot
		return path.Join(path.Dir(name), "privkey.pem")
	}
	return strings.TrimSuffix(name, path.Ext(name)) + ".key"
}

// findKey looks for the private key of a file. What was found before is taken
// over as long as its file has not changed.
func (s *scan) findKey(name string, b bundle.Bundle, before privateKey) privateKey {
	place := keyPlace(name, b)
	info, err := s.host.Files.Stat(place)
	if errors.Is(err, fs.ErrNotExist) {
		return privateKey{}
	}
	k := privateKey{path: place, err: err}
	if err != nil {
		return k
	}
	k.mode = info.Mode()
	k.identity, _ = identify(info)
	if before.err == nil && before.same(k) {
		return before
	}
	data, err := s.host.Files.ReadFile(place, s.config.MaxFileSize)
	if err != nil {
		k.err = err
		return k
	}
	k.keys = bundle.PrivateKeys(data)
	return k
}
