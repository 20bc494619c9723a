package certificate

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/crypto/ssh"

	"hygiene_exporter/probes/certificate/bundle"
)

// A privateKey is what was found of the private key of a certificate.
type privateKey struct {
	path     string // where it is; empty when none was found
	identity identity
	mode     fs.FileMode
	guarded  bool // by a password that not everybody knows
	keys     []bundle.PrivateKey
	err      error // it is there and cannot be read
}

// matches compares the key with the certificate. A key that is not found, not
// readable or encrypted says nothing.
func (k privateKey) matches(c bundle.Certificate) verdict {
	known := false
	for _, key := range k.keys {
		if key.Err == nil && (key.PublicHash == c.PublicHash || key.PublicHash == c.Fingerprint) {
			return pass
		}
		known = known || key.Err == nil
	}
	if !known {
		return unknown
	}
	return fail
}

// exposed fails a key that every user of the host can read, unless it is in a
// keystore whose password not everybody knows.
func (k privateKey) exposed() verdict {
	if k.err == nil && len(k.keys) == 0 {
		return unknown
	}
	return of(k.mode&0o004 != 0 && !k.guarded)
}

// judgeKey makes the checks that need the private key of the leaf.
func (p *part) judgeKey(key privateKey) {
	leaf, ok := p.leaf()
	if !ok || p.roots {
		return
	}
	v := &p.verdicts[leaf]
	p.key, v[keyMismatch], v[keyExposed] = key.path, notMade, notMade
	if key.path != "" {
		v[keyMismatch], v[keyExposed] = key.matches(p.bundle.Certificates[leaf]), key.exposed()
	}
}

// same reports whether the key is as it was before.
func (k privateKey) same(before privateKey) bool {
	return k.path == before.path && k.identity == before.identity && k.mode == before.mode && (k.err == nil) == (before.err == nil)
}

// keyPlaces are where the private key of a certificate usually is: beside it
// under a name that follows from its own, or in a directory for keys.
func keyPlaces(name string) []string {
	dir, base := path.Split(name)
	stem := strings.TrimSuffix(base, path.Ext(base))
	if key, ok := strings.CutSuffix(name, "-cert.pub"); ok { // of OpenSSH
		return []string{key}
	}
	places := []string{dir + stem + ".key"}
	switch stem {
	case "fullchain", "cert": // certbot and what follows it
		places = append(places, dir+"privkey.pem")
	}
	places = append(places, dir+stem+"-key.pem", dir+stem+".key.pem")
	switch parent := path.Clean(dir); path.Base(parent) {
	case "certs":
		beside := path.Dir(parent)
		places = append(places, path.Join(beside, "private", stem+".key"), path.Join(beside, "private_keys", stem+".pem"))
	}
	return places
}

// keyOf returns the private key of a part of a file: beside it in the file, or in
// a file of its own. What was found before is taken over as long as it has not
// changed.
func (s *scan) keyOf(f *file, p *part) privateKey {
	switch {
	case len(p.keys) > 0:
		return privateKey{path: f.name, identity: f.identity, mode: f.mode, keys: p.keys, guarded: f.kind.Keystore() && !f.open}
	case p.object != f.name || p.roots:
		return privateKey{} // what stands alone in a store has no key
	}
	return s.findKey(f, p.ssh)
}

// findKey looks for the file of a private key.
func (s *scan) findKey(f *file, ofSSH bool) privateKey {
	for _, place := range keyPlaces(f.name) {
		if !s.listed(place) {
			continue
		}
		info, err := s.host.Files.Stat(place)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDirectory) {
			continue
		}
		k := privateKey{path: place, err: err}
		if err != nil {
			return k
		}
		k.mode = info.Mode()
		k.identity, _ = identify(info)
		if f.key.err == nil && f.key.same(k) {
			return f.key
		}
		data, err := s.host.Files.ReadFile(place, s.config.MaxFileSize)
		if err != nil {
			k.err = err
			return k
		}
		k.keys = bundle.PrivateKeys(data)
		if ofSSH {
			k.keys = sshKey(data)
		}
		return k
	}
	return privateKey{}
}

// listed reports whether a file may exist: its directory has it, or cannot be
// listed. To list each directory once is much cheaper than to ask for each file.
func (s *scan) listed(name string) bool {
	dir, base := path.Split(name)
	names, known := s.listings[dir]
	if !known {
		if entries, err := s.host.Files.ReadDir(dir); err == nil {
			names = make(map[string]bool, len(entries))
			for _, entry := range entries {
				names[entry.Name()] = true
			}
		} else if errors.Is(err, fs.ErrNotExist) {
			names = map[string]bool{}
		}
		s.listings[dir] = names
	}
	return names == nil || names[base]
}

// sshKey reads a private key of OpenSSH, of which the public half is in clear
// even when it is encrypted.
func sshKey(data []byte) []bundle.PrivateKey {
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return []bundle.PrivateKey{{PublicHash: ssh.FingerprintSHA256(signer.PublicKey())}}
	case errors.As(err, &locked) && locked.PublicKey != nil:
		return []bundle.PrivateKey{{PublicHash: ssh.FingerprintSHA256(locked.PublicKey)}}
	}
	return []bundle.PrivateKey{{Err: err}}
}
