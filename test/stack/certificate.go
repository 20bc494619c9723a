package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The shares of its life after which a certificate is overdue and critical, by
// the default policy. The critical deadline is that of short lives.
const (
	overdueShare  = 0.75
	criticalShare = 0.875
)

// AgentConfig returns the configuration of an agent that watches the
// certificates below dir, with a ladder of these tiers. Everything that the
// scenarios do not need is off.
func AgentConfig(dir string, tiers []time.Duration) string {
	var ladder []string
	for _, tier := range tiers {
		ladder = append(ladder, fmt.Sprintf("%dms", tier.Milliseconds()))
	}
	return fmt.Sprintf(`owner: sre
alerts: {evaluation_interval: 1s, close_after: 2s, disable: [HygieneCertificateSelfSigned, HygieneCertificateOlderDuplicate]}
escalation:
  startup_grace: 0s
  policies:
    critical: {tiers: [%[1]s], calendar: always}
    warning: {tiers: [%[1]s], calendar: always}
probes:
  certificate:
    interval: 1s
    timeout: 900ms
    max_age: 1s
    sources: [{name: stack, paths: [%[2]q]}]
  redundancy: {enabled: false}
  patch: {enabled: false}
  port: {enabled: false}
  backup: {enabled: false}
  drill: {enabled: false}
`, strings.Join(ladder, ", "), dir)
}

// A Certificate is a file that an agent watches.
type Certificate struct{ Path string }

// NewCertificate names a certificate in a directory of its own below dir.
func NewCertificate(dir, name string) (Certificate, error) {
	return Certificate{Path: filepath.Join(dir, name)}, os.MkdirAll(dir, 0o750)
}

// OverdueIn writes a certificate with this life, whose renewal is overdue after
// a while.
func (c Certificate) OverdueIn(wait, life time.Duration) error {
	begin := time.Now().Add(wait - time.Duration(overdueShare*float64(life)))
	return c.write(begin, begin.Add(life))
}

// UntilCritical is the time from overdue to critical in such a life.
func UntilCritical(life time.Duration) time.Duration {
	return time.Duration((criticalShare - overdueShare) * float64(life))
}

// Renew writes a certificate that has just been issued for a day.
func (c Certificate) Renew() error {
	now := time.Now().Add(-time.Minute)
	return c.write(now, now.Add(24*time.Hour))
}

// Damage overwrites the certificate with something that is none.
func (c Certificate) Damage() error {
	return c.replace([]byte("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n"))
}

func (c Certificate) write(begin, end time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "stack.example.org"},
		DNSNames:              []string{"stack.example.org"},
		NotBefore:             begin,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return c.replace(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// replace writes the file in one step, so that no half of it is ever read.
func (c Certificate) replace(data []byte) error {
	temporary := c.Path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, c.Path)
}
