package revocation

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"hygiene_exporter/probes"
)

// A list is a revocation list whose signature was verified.
type list struct {
	issuer                 string // its certificate
	thisUpdate, nextUpdate time.Time
	revoked                map[string]time.Time // by serial number
}

// look looks a certificate up in a revocation list.
func (a *Asker) look(ctx context.Context, address string, certificate, issuer *x509.Certificate) Answer {
	answer := Answer{Source: List, Status: Unknown}
	l, err := a.list(ctx, address, issuer)
	if err != nil {
		answer.Err = err
		return answer
	}
	answer.Status, answer.ThisUpdate, answer.NextUpdate = Good, l.thisUpdate, l.nextUpdate
	if at, revoked := l.revoked[string(certificate.SerialNumber.Bytes())]; revoked {
		answer.Status, answer.RevokedAt = Revoked, at
	}
	return answer.at(a.now())
}

// list returns the list at an address: the one that is kept, until it is out of
// date.
func (a *Asker) list(ctx context.Context, address string, issuer *x509.Certificate) (*list, error) {
	a.mu.Lock()
	kept := a.lists[address]
	a.mu.Unlock()
	if kept != nil && kept.issuer == string(issuer.Raw) && a.now().Before(kept.nextUpdate) {
		return kept, nil
	}
	data, err := a.fetch(ctx, http.MethodGet, address, nil, maxList)
	if err != nil {
		return nil, err
	}
	l, err := readList(data, issuer, a.now())
	if err != nil {
		return nil, fmt.Errorf("the list at %s: %w", address, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lists == nil || len(a.lists) >= maxLists {
		a.lists = map[string]*list{}
	}
	a.lists[address] = l
	return l, nil
}

// readList reads a list in DER and verifies that the issuer has signed it.
func readList(der []byte, issuer *x509.Certificate, now time.Time) (*list, error) {
	parsed, err := x509.ParseRevocationList(der)
	if err == nil {
		err = parsed.CheckSignatureFrom(issuer)
	}
	if err == nil {
		err = timely(parsed.ThisUpdate, now)
	}
	if err != nil {
		return nil, probes.Because(probes.Malformed, err)
	}
	l := &list{
		issuer: string(issuer.Raw), thisUpdate: parsed.ThisUpdate, nextUpdate: parsed.NextUpdate,
		revoked: make(map[string]time.Time, len(parsed.RevokedCertificateEntries)),
	}
	const removed = 8 // from the list, RFC 5280 §5.3.1
	for _, entry := range parsed.RevokedCertificateEntries {
		if entry.ReasonCode != removed {
			l.revoked[string(entry.SerialNumber.Bytes())] = entry.RevocationTime
		}
	}
	return l, nil
}
