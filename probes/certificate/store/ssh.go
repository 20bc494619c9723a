package store

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// An SSHCertificate is a certificate of OpenSSH, as its PROTOCOL.certkeys
// describes it.
type SSHCertificate struct {
	Name        string // like that of an Entry; the identifier, where a file holds several
	Line        int
	Host        bool   // it is the certificate of a host, and not of a user
	Type        string // such as "ssh-ed25519"
	Key         string // like that of a bundle.Certificate
	Signature   string // such as "rsa-sha2-512"
	KeyID       string
	Serial      uint64
	Principals  []string  // none means any
	ValidAfter  time.Time // zero for always
	ValidBefore time.Time // zero for ever
	Fingerprint string    // of the certified key, as ssh-keygen prints it
	Authority   string    // fingerprint of the key that signed
}

// markSSH ends the type of every such certificate.
const markSSH = "-cert-v01@openssh.com"

// lastSecond is the last one of the year 9999. What is valid beyond is valid for
// ever.
const lastSecond = 253402300799

// sshLines reads the certificates among the lines of a file: a certificate alone,
// as ssh-keygen writes it, or behind options, as in authorized_keys.
func (r *reader) sshLines(data []byte) (found bool) {
	for n := 1; len(data) > 0 && r.left >= 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		before, after, ok := bytes.Cut(line, []byte(markSSH))
		if !ok || len(after) == 0 || after[0] != ' ' && after[0] != '\t' || bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			continue
		}
		kind := before[bytes.LastIndexAny(before, " \t")+1:]
		fields := bytes.Fields(after)
		if !isKeyType(kind) || len(fields) == 0 {
			continue
		}
		found = true
		if r.left--; r.left < 0 {
			return found
		}
		c, err := parseSSH(fields[0])
		if err != nil {
			r.fail("", fmt.Errorf("SSH certificate on line %d: %w", n, err))
			continue
		}
		c.Line = n
		r.content.SSH = append(r.content.SSH, c)
	}
	return found
}

// isKeyType reports whether a certificate of this type exists, so that text which
// only names one, such as a list of algorithms in a configuration, claims nothing.
func isKeyType(kind []byte) bool {
	switch string(kind) {
	case "ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"sk-ssh-ed25519", "sk-ecdsa-sha2-nistp256":
		return true
	}
	return false
}

func parseSSH(encoded []byte) (SSHCertificate, error) {
	blob, err := base64.StdEncoding.DecodeString(string(encoded))
	if err != nil {
		return SSHCertificate{}, fmt.Errorf("not base64: %w", err)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return SSHCertificate{}, err
	}
	c, ok := key.(*ssh.Certificate)
	if !ok {
		return SSHCertificate{}, errors.New("it is a key without a certificate")
	}
	if c.CertType != ssh.HostCert && c.CertType != ssh.UserCert {
		return SSHCertificate{}, probes.Because(probes.Unsupported, fmt.Errorf("it is of the type %d, neither of a host nor of a user", c.CertType))
	}
	return SSHCertificate{
		Host:        c.CertType == ssh.HostCert,
		Type:        c.Key.Type(),
		Key:         sshKeyText(c.Key),
		Signature:   c.Signature.Format,
		KeyID:       c.KeyId,
		Serial:      c.Serial,
		Principals:  c.ValidPrincipals,
		ValidAfter:  instant(c.ValidAfter),
		ValidBefore: instant(c.ValidBefore),
		Fingerprint: ssh.FingerprintSHA256(c.Key),
		Authority:   ssh.FingerprintSHA256(c.SignatureKey),
	}, nil
}

// instant is zero for both ends of time. A beginning after the last second would
// be one as well, which nobody writes.
func instant(seconds uint64) time.Time {
	if seconds == 0 || seconds > lastSecond {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// sshKeyText names a key by its algorithm and size.
func sshKeyText(key ssh.PublicKey) string {
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		return bundle.KeyText(k.CryptoPublicKey())
	}
	return key.Type()
}
