// Package revocation finds out whether certificates were revoked: from a response
// that a server staples, from the responder that a certificate names (OCSP, RFC
// 6960), or from its revocation list (RFC 5280 §5). It promises that nothing is
// believed before its signature was verified, that "could not ask" is neither good
// nor revoked, and that nobody is asked again before an answer is out of date.
package revocation

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"hygiene_exporter/probes"
)

// An Answer says whether a certificate was revoked.
type Answer struct {
	Source     Source
	Status     Status
	ThisUpdate time.Time
	NextUpdate time.Time // zero when the responder gives none
	RevokedAt  time.Time // zero unless revoked
	Err        error     // why nothing, or nothing more, is known
}

// A Source is where an answer comes from. The set is closed and part of the metric
// contract.
type Source string

// The sources.
const (
	Stapled   Source = "stapled"   // by the server (RFC 6066 §8)
	Responder Source = "responder" // that the certificate names
	List      Source = "crl"       // that the certificate names
)

// Sources lists the closed set.
func Sources() []Source { return []Source{Stapled, Responder, List} }

// A Status is what is known of a revocation. The set is closed and part of the
// metric contract.
type Status string

// The statuses.
const (
	Good       Status = "good"
	Revoked    Status = "revoked"
	Unknown    Status = "unknown"    // to the responder, or to us because nobody could be asked; see Err
	Stale      Status = "stale"      // it was good, and the time for which the responder said so is over
	Unverified Status = "unverified" // the response cannot be believed; see Err
)

// Statuses lists the closed set.
func Statuses() []Status { return []Status{Good, Revoked, Unknown, Stale, Unverified} }

var (
	errNoIssuer = probes.Because(probes.NotFound, errors.New("the issuer that could verify the response is not known"))
	errDelegate = errors.New("the response is signed with a certificate that may not sign responses")
	errNotKnown = errors.New("the responder does not know the certificate")
	errEarly    = errors.New("it is from the future")
)

// maxAhead is how far the clock of a responder may be ahead of ours.
const maxAhead = 5 * time.Minute

// Read verifies an OCSP response for a certificate, as of an instant. The issuer
// may be nil, if nobody knows it.
func Read(source Source, raw []byte, certificate, issuer *x509.Certificate, now time.Time) Answer {
	a := Answer{Source: source, Status: Unverified}
	if issuer == nil {
		a.Status, a.Err = Unknown, errNoIssuer // it may be right
		return a
	}
	// The parser verifies the signature only with a certificate in the response. If
	// it were given the issuer, it would refuse an issuer that sends its own.
	response, err := ocsp.ParseResponseForCert(raw, certificate, nil)
	if err == nil {
		err = errors.Join(mayRespond(response, issuer, now), timely(response.ThisUpdate, now))
	}
	if refusal := (ocsp.ResponseError{}); errors.As(err, &refusal) { // such as "try later"; nothing is signed then
		a.Status, a.Err = Unknown, probes.Because(probes.Unavailable, err)
		return a
	}
	if err != nil {
		a.Err = probes.Because(probes.Malformed, err)
		return a
	}
	switch response.Status {
	case ocsp.Good:
		a.Status = Good
	case ocsp.Revoked:
		a.Status, a.RevokedAt = Revoked, response.RevokedAt
	default:
		a.Status, a.Err = Unknown, errNotKnown
	}
	a.ThisUpdate, a.NextUpdate = response.ThisUpdate, response.NextUpdate
	return a.at(now)
}

// at makes an answer that was good and is out of date stale. What was revoked
// stays so.
func (a Answer) at(now time.Time) Answer {
	if a.Status == Good && !a.NextUpdate.IsZero() && now.After(a.NextUpdate) {
		a.Status = Stale
	}
	return a
}

// mayRespond checks that a response was signed by the issuer, or by somebody who
// has its permission: a certificate of the issuer that says so, RFC 6960 §4.2.2.2.
// Without that every certificate of the same issuer could vouch for itself.
func mayRespond(response *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	delegate := response.Certificate
	switch {
	case delegate == nil:
		return response.CheckSignatureFrom(issuer)
	case delegate.Equal(issuer):
		return nil // the parser has verified that it has signed the response
	case !slices.Contains(delegate.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errDelegate
	case now.After(delegate.NotAfter), now.Before(delegate.NotBefore):
		return fmt.Errorf("%w: not at this time", errDelegate)
	}
	return issuer.CheckSignature(delegate.SignatureAlgorithm, delegate.RawTBSCertificate, delegate.Signature)
}

func timely(thisUpdate, now time.Time) error {
	if thisUpdate.After(now.Add(maxAhead)) {
		return errEarly
	}
	return nil
}
