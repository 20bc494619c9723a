package endpoint

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"hygiene_exporter/probes"
)

// An OCSP is a response that a server stapled (RFC 6066 §8, RFC 6960). Nothing
// of it is believed before its signature was verified: with Err only Raw is
// known.
type OCSP struct {
	Raw        []byte
	Status     OCSPStatus
	ThisUpdate time.Time
	NextUpdate time.Time // zero when the responder gives none
	RevokedAt  time.Time // zero unless revoked
	Err        error
}

// An OCSPStatus is what a responder says of a certificate.
type OCSPStatus string

// The statuses.
const (
	Good       OCSPStatus = "good"
	Revoked    OCSPStatus = "revoked"
	Unknown    OCSPStatus = "unknown"    // to the responder, or to us because nobody could be asked; see Err
	Stale      OCSPStatus = "stale"      // it was good, and the time for which the responder said so is over
	Unverified OCSPStatus = "unverified" // the response cannot be believed; see Err
)

// OCSPStatuses lists the closed set.
func OCSPStatuses() []OCSPStatus { return []OCSPStatus{Good, Revoked, Unknown, Stale, Unverified} }

var (
	errNoIssuer  = probes.Because(probes.NotFound, errors.New("the issuer that could verify the response is not known"))
	errDelegate  = errors.New("the response is signed with a certificate that may not sign responses")
	errEarlyOCSP = errors.New("the response is from the future")
)

// maxAhead is how far the clock of a responder may be ahead of ours.
const maxAhead = 5 * time.Minute

// readOCSP verifies a response for the first of the certificates.
func readOCSP(raw []byte, sent []*x509.Certificate, issuer *x509.Certificate, now time.Time) *OCSP {
	o := &OCSP{Raw: bytes.Clone(raw), Status: Unverified}
	if issuer == nil || len(sent) == 0 {
		o.Status, o.Err = Unknown, errNoIssuer // it may be right
		return o
	}
	response, err := ocsp.ParseResponseForCert(raw, sent[0], issuer)
	if err == nil {
		err = errors.Join(mayRespond(response, issuer, now), timely(response, now))
	}
	if err != nil {
		o.Err = probes.Because(probes.Malformed, err)
		return o
	}
	switch response.Status {
	case ocsp.Good:
		o.Status = Good
		if !response.NextUpdate.IsZero() && now.After(response.NextUpdate) {
			o.Status = Stale
		}
	case ocsp.Revoked:
		o.Status, o.RevokedAt = Revoked, response.RevokedAt
	default:
		o.Status = Unknown
	}
	o.ThisUpdate, o.NextUpdate = response.ThisUpdate, response.NextUpdate
	return o
}

// mayRespond checks what the parser does not: that a responder other than the
// issuer has its permission, RFC 6960 §4.2.2.2. Without it every certificate of
// the same issuer could vouch for itself.
func mayRespond(response *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	delegate := response.Certificate
	if delegate == nil || delegate.Equal(issuer) {
		return nil
	}
	if !slices.Contains(delegate.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return errDelegate
	}
	if now.After(delegate.NotAfter) || now.Before(delegate.NotBefore) {
		return fmt.Errorf("%w: not at this time", errDelegate)
	}
	return nil
}

func timely(response *ocsp.Response, now time.Time) error {
	if response.ThisUpdate.After(now.Add(maxAhead)) {
		return errEarlyOCSP
	}
	return nil
}
