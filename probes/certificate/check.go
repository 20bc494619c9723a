package certificate

import (
	"strconv"
	"strings"

	"hygiene_exporter/probes/certificate/bundle"
)

// A check is one that a certificate or a revocation list can fail; it is then a
// finding.
type check uint8

const (
	nonconforming check = iota
	weakKey
	weakSignature
	selfSigned
	noSAN
	longLife
	notYetValid
	chainDisordered
	chainIncomplete
	untrusted
	keyMismatch
	keyExposed
	olderDuplicate
	listWithoutEnd
	listForged
	checks // how many there are
)

// String names the check as metrics do. The set is closed.
func (c check) String() string {
	return [checks]string{
		"nonconforming", "weak_key", "weak_signature", "self_signed", "no_san", "lifetime_exceeds_policy", "not_yet_valid",
		"chain_disordered", "chain_incomplete", "untrusted", "key_mismatch", "key_exposed", "older_duplicate",
		"crl_without_next_update", "crl_signature_invalid",
	}[c]
}

func findings() []string {
	names := make([]string, checks)
	for c := range checks {
		names[c] = c.String()
	}
	return names
}

// A verdict is the result of a check. What could not be checked is unknown: it
// is neither a finding nor in order.
type verdict uint8

const (
	notMade verdict = iota // the check makes no sense in this place
	pass
	fail
	unknown
)

func of(failed bool) verdict {
	if failed {
		return fail
	}
	return pass
}

// verdicts are those on one certificate.
type verdicts [checks]verdict

// A tally counts certificates by verdict, for each check.
type tally [checks][unknown + 1]int

func (t *tally) add(v verdicts) {
	for c, verdict := range v {
		t[c][verdict]++
	}
}

// judge makes the checks for which nothing but the file itself is needed.
func judge(p *part, i int) (v verdicts) {
	c, names := p.bundle.Certificates[i], p.slots
	v[weakKey] = keyStrength(c.Key)
	if p.policy.maxLifetime > 0 && (!c.CA || p.policy.authorities) {
		v[longLife] = of(c.NotAfter.IsZero() || lifetime(c) > p.policy.maxLifetime)
	}
	leaf := names[i] == "leaf"
	if p.ssh {
		v[weakSignature] = of(c.Signature == "ssh-rsa" || c.Signature == "ssh-dss")
		return v
	}
	v[nonconforming] = of(c.Nonconforming != nil)
	v[weakSignature] = signatureStrength(c)
	if leaf {
		v[selfSigned] = of(c.SelfSigned && (!c.CA || c.HostNames))
		v[noSAN] = of(isServer(c) && !c.HostNames)
	}
	if strings.HasPrefix(names[i], "chain") {
		v[chainDisordered] = order(p.bundle.Certificates, names, i)
	}
	return v
}

// bitsOf finds the size in the name of a key: rsa-2048, ecdsa-P-256,
// ecdsa-brainpoolP256r1. It is 0 if there is none.
func bitsOf(key string) int {
	const digits = "0123456789"
	for start := strings.IndexAny(key, digits); start >= 0; start = strings.IndexAny(key, digits) {
		rest := strings.TrimLeft(key[start:], digits)
		if number := key[start : len(key)-len(rest)]; len(number) >= 3 {
			bits, _ := strconv.Atoi(number)
			return bits
		}
		key = rest
	}
	return 0
}

// keyStrength fails keys that NIST SP 800-131A no longer allows.
func keyStrength(key string) verdict {
	algorithm, _, _ := strings.Cut(key, "-")
	bits := bitsOf(key)
	switch {
	case algorithm == "dsa":
		return fail
	case algorithm == "rsa" && bits > 0:
		return of(bits < 2048)
	case algorithm == "ecdsa" && bits > 0 && !strings.Contains(key, "."):
		return of(bits < 256)
	case algorithm == "ed25519", algorithm == "ed448", algorithm == "ml", algorithm == "slh":
		return pass
	}
	return unknown
}

// signatureStrength fails MD5, SHA-1 and older. The signature of a certificate
// that signs itself is never checked.
func signatureStrength(c bundle.Certificate) verdict {
	for _, old := range []string{"MD2", "MD4", "MD5", "SHA1"} {
		if !c.SelfSigned && strings.Contains(c.Signature, old) {
			return fail
		}
	}
	if !c.SelfSigned && strings.Contains(c.Signature, ".") { // an identifier that nobody knows
		return unknown
	}
	return pass
}

// isServer reports whether a certificate is for servers: it says so, or it does
// not say what it is for and bears the name of a host.
func isServer(c bundle.Certificate) bool {
	if c.CA {
		return false
	}
	return c.Server || c.AnyPurpose && strings.Contains(c.Subject, ".") && !strings.ContainsAny(c.Subject, " @/:")
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

// join adds another tally.
func (t *tally) join(other tally) {
	for c := range other {
		for v, n := range other[c] {
			t[c][v] += n
		}
	}
}
