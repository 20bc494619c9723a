package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// shake makes the TLS handshake and fills in what it shows.
func (i Inspector) shake(ctx context.Context, conn net.Conn, t Target, s *Server) {
	wire := &wiretap{Conn: conn}
	shown := &showing{}
	session := tls.Client(wire, shown.config(t, wire))
	// With a context, the cause of a failure is lost when the time runs out while
	// the server is told of it. The connection ends with the context anyway.
	err := session.Handshake() //nolint:noctx
	state := session.ConnectionState()
	s.Version, s.Cipher = versionName(state.Version), cipherName(state.CipherSuite)
	raw, staple := shown.certificates, shown.staple
	rejected := len(raw) == 0 && err != nil
	if rejected {
		// The standard library shows nothing of a chain with a certificate that
		// it cannot parse, so the chain is read from what went over the wire.
		raw = wire.certificates()
	}
	for _, der := range raw {
		s.Certificates = append(s.Certificates, read(der))
	}
	if shown.asked {
		s.ClientAuth = Requested
		if err == nil {
			err = afterClientCertificate(session)
		}
		// OpenSSL ends a handshake of TLS 1.2 without a certificate like this.
		if isClientAlert(err) || isAlert(err, alertHandshakeFailure) {
			s.ClientAuth = Refused
		}
	}
	if len(s.Certificates) > 0 {
		i.judge(s, t, staple)
	}
	switch {
	case err == nil && len(s.Certificates) == 0:
		s.Failure = fail(Handshake, errNoCertificate)
	case err == nil:
		farewell(session, t)
	case s.ClientAuth == Refused && len(t.ClientCertificates) == 0 && len(s.Certificates) > 0:
		// It wants a certificate that nobody gave us: its own is all there is to
		// see.
	case rejected && slices.ContainsFunc(s.Certificates, Certificate.odd) && reasonOf(err) == probes.Other:
		// The server did nothing wrong but to send these certificates, and the
		// verdict on them says so.
	default:
		s.Failure = fail(Handshake, because(ctx, err))
		if s.Failure.Reason == probes.Other { // the words of the standard library for all that is no good TLS
			s.Failure.Reason = probes.Malformed
		}
	}
}

var errNoCertificate = probes.Because(probes.Malformed, errors.New("the server shows no certificate"))

// read reads one certificate as it was sent.
func read(der []byte) Certificate {
	c := Certificate{Raw: der}
	if len(der) == 0 || der[0] != 0x30 { // bundle reads PEM too, and PEM has no place in TLS
		c.Err = probes.Because(probes.Malformed, bundle.ErrNone)
		return c
	}
	found, err := bundle.Parse(der)
	if err != nil || len(found.Certificates) == 0 {
		c.Err = probes.Because(probes.Malformed, err)
		return c
	}
	c.Certificate = found.Certificates[0]
	return c
}

// odd reports whether a strict parser rejects the certificate.
func (c Certificate) odd() bool { return c.Err != nil || c.Nonconforming != nil }

// A showing collects what a server shows during the handshake.
type showing struct {
	certificates [][]byte
	staple       []byte
	asked        bool // for a certificate of the client
}

// config accepts every server: old ones too, since the question is what they
// show, and nothing is entrusted to them.
func (s *showing) config(t Target, wire *wiretap) *tls.Config {
	c := &tls.Config{
		ServerName:         t.ServerName,
		InsecureSkipVerify: true, //nolint:gosec // verified by judge, so that a failure does not hide the dates
		MinVersion:         tls.VersionTLS10,
		KeyLogWriter:       keyLog{wire},
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		c.CipherSuites = append(c.CipherSuites, suite.ID)
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		for _, certificate := range state.PeerCertificates {
			s.certificates = append(s.certificates, certificate.Raw)
		}
		s.staple = state.OCSPResponse
		wire.stop()
		return nil
	}
	c.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		s.asked = true
		for n := range t.ClientCertificates {
			if request.SupportsCertificate(&t.ClientCertificates[n]) == nil {
				return &t.ClientCertificates[n], nil
			}
		}
		if len(t.ClientCertificates) > 0 {
			return &t.ClientCertificates[0], nil // the server says best what it dislikes
		}
		return &tls.Certificate{}, nil
	}
	return c
}

// patience is how long a server of TLS 1.3 gets to refuse a client certificate,
// which it does after the handshake of the client is complete (RFC 8446 §4.4.2.4).
const patience = time.Second

// afterClientCertificate waits for the server's answer to our certificate. A
// server that says nothing, or goes on with its protocol, is content.
func afterClientCertificate(session *tls.Conn) error {
	if session.ConnectionState().Version < tls.VersionTLS13 {
		return nil
	}
	_ = session.SetReadDeadline(time.Now().Add(patience))
	_, err := session.Read(make([]byte, 1))
	if isClientAlert(err) {
		return err
	}
	return nil
}

func versionName(version uint16) string {
	if version == 0 {
		return ""
	}
	return strings.TrimPrefix(tls.VersionName(version), "TLS ")
}

func cipherName(suite uint16) string {
	if suite == 0 {
		return ""
	}
	return tls.CipherSuiteName(suite)
}

// parsed returns the certificates that a strict parser accepts.
func parsed(certificates []Certificate) (accepted []*x509.Certificate) {
	for _, c := range certificates {
		if x, err := x509.ParseCertificate(c.Raw); err == nil {
			accepted = append(accepted, x)
		}
	}
	return accepted
}
