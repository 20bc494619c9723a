package endpoint

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/revocation"
)

// A Trust is the verdict on the certificates of a server. Each question has an
// answer of its own: a certificate may be expired and for another host.
type Trust struct {
	// Verified says that a client who trusts the roots of the target and asks for
	// its name would accept the certificates now.
	Verified bool
	// Problems are why not. Verified certificates have problems only if there are
	// some among them that no client needs.
	Problems []Problem
	// Until is when a client will cease to accept them if nothing is renewed:
	// the end of the chain that lasts longest. Zero if there is no such chain.
	Until time.Time

	issuer *x509.Certificate // who signed the server's own; nil if that is not known
}

// A Problem is why certificates cannot be trusted. The set is closed and part of
// the metric contract.
type Problem struct {
	Class Class
	Err   error
}

// A Class is a kind of Problem.
type Class string

// The classes, in the words of metrics.
const (
	Expired         Class = "expired"          // the server's own or one that it needs is past its end
	NotYetValid     Class = "not_yet_valid"    // the same before its beginning
	WrongName       Class = "wrong_name"       // it does not name the server
	Untrusted       Class = "untrusted"        // its root is not among the roots, or it signs itself
	IncompleteChain Class = "incomplete_chain" // its issuer was not sent and is not among the roots
	Nonconforming   Class = "nonconforming"    // a strict parser rejects one of them
	Invalid         Class = "invalid"          // a rule of RFC 5280 is broken, such as one on the use of the key
)

// Classes lists the closed set.
func Classes() []Class {
	return []Class{Expired, NotYetValid, WrongName, Untrusted, IncompleteChain, Nonconforming, Invalid}
}

// judge decides on the certificates of a server and on what it stapled.
func (i Inspector) judge(s *Server, t Target, staple []byte) {
	now := time.Now()
	if i.Now != nil {
		now = i.Now()
	}
	sent := parsed(s.Certificates)
	var chains [][]*x509.Certificate
	s.Trust, chains = verify(s.Certificates, sent, t, now)
	for n, c := range s.Certificates {
		s.Certificates[n].Spare = s.Trust.Verified && !needed(c.Raw, chains)
	}
	if !s.Trust.Verified {
		var errs []error
		for _, problem := range s.Trust.Problems {
			errs = append(errs, problem.Err)
		}
		s.Failure = &Failure{Stage: Verify, Reason: probes.Other, Err: errors.Join(errs...)}
	}
	if len(staple) > 0 && len(sent) > 0 {
		s.Revocation = append(s.Revocation, revocation.Read(revocation.Stapled, staple, sent[0], s.Trust.issuer, now))
	}
}

// needed reports whether one of the chains holds a certificate.
func needed(der []byte, chains [][]*x509.Certificate) bool {
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, der) })
	})
}

// verify answers for each question alone. It also returns the chains that were
// found, if any.
func verify(all []Certificate, sent []*x509.Certificate, t Target, now time.Time) (v Trust, chains [][]*x509.Certificate) {
	add := func(class Class, err error) { v.Problems = append(v.Problems, Problem{class, err}) }
	for n, c := range all {
		if err := errors.Join(c.Err, c.Nonconforming); err != nil {
			add(Nonconforming, fmt.Errorf("certificate %d: %w", n+1, err))
		}
	}
	own := all[0]
	at := now
	switch {
	case own.Err != nil:
		return v, nil
	case now.After(own.NotAfter):
		add(Expired, fmt.Errorf("it expired on %s", own.NotAfter.UTC().Format(time.DateTime)))
		at = own.NotAfter
	case now.Before(own.NotBefore):
		add(NotYetValid, fmt.Errorf("it is not valid before %s", own.NotBefore.UTC().Format(time.DateTime)))
		at = own.NotBefore
	}
	if own.Nonconforming != nil || len(sent) == 0 {
		return v, nil
	}
	leaf := sent[0]
	if t.ServerName != "" {
		if err := leaf.VerifyHostname(t.ServerName); err != nil {
			add(WrongName, err)
		}
	}
	chains, err := leaf.Verify(options(sent, t, at))
	if err != nil {
		add(classify(err, sent, at), err)
	}
	v.Verified = len(v.Problems) == 0 || err == nil && onlyIdle(v.Problems)
	for _, chain := range chains {
		if end := chainEnd(chain); v.Verified && end.After(v.Until) {
			v.Until = end
		}
	}
	v.issuer = issuerOf(sent, chains)
	return v, chains
}

// onlyIdle reports whether nothing but certificates behind the server's own are
// odd. A chain was found without them, so clients do not need them.
func onlyIdle(problems []Problem) bool {
	for _, problem := range problems {
		if problem.Class != Nonconforming {
			return false
		}
	}
	return true
}

func options(sent []*x509.Certificate, t Target, at time.Time) x509.VerifyOptions {
	intermediates := x509.NewCertPool()
	for _, c := range sent[1:] {
		intermediates.AddCert(c)
	}
	return x509.VerifyOptions{Roots: t.Roots, Intermediates: intermediates, CurrentTime: at}
}

// classify names the reason for which no chain was found at an instant.
func classify(err error, sent []*x509.Certificate, at time.Time) Class {
	var (
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil && at.Before(invalid.Cert.NotBefore) {
			return NotYetValid
		}
		return Expired
	case errors.As(err, &unknown):
		return broken(sent)
	}
	return Invalid
}

// broken tells a chain that lacks its second certificate from one whose root is
// not trusted. Roots are rarely sent, so a certificate authority without its
// issuer is no sign of a gap; a server's own certificate without one is.
func broken(sent []*x509.Certificate) Class {
	leaf := sent[0]
	if string(leaf.RawIssuer) == string(leaf.RawSubject) || issuerOf(sent, nil) != nil {
		return Untrusted
	}
	return IncompleteChain
}

// issuerOf returns the certificate that signed the server's own: from a verified
// chain, or else among those that were sent.
func issuerOf(sent []*x509.Certificate, chains [][]*x509.Certificate) *x509.Certificate {
	if len(chains) > 0 && len(chains[0]) > 1 {
		return chains[0][1]
	}
	for _, c := range sent[1:] {
		if sent[0].CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}

func chainEnd(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}
