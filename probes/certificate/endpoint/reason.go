package endpoint

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"

	"hygiene_exporter/probes"
)

// The alerts of TLS that say more than that something is wrong, RFC 8446 §6.
const (
	alertHandshakeFailure       tls.AlertError = 40
	alertBadCertificate         tls.AlertError = 42
	alertUnsupportedCertificate tls.AlertError = 43
	alertCertificateRevoked     tls.AlertError = 44
	alertCertificateExpired     tls.AlertError = 45
	alertCertificateUnknown     tls.AlertError = 46
	alertUnknownCA              tls.AlertError = 48
	alertAccessDenied           tls.AlertError = 49
	alertProtocolVersion        tls.AlertError = 70
	alertInsufficientSecurity   tls.AlertError = 71
	alertInternalError          tls.AlertError = 80
	alertUnrecognizedName       tls.AlertError = 112
	alertCertificateRequired    tls.AlertError = 116
	alertNoApplicationProtocol  tls.AlertError = 120
)

// reasonOf derives the reason of a failure, as probes.ReasonOf does, with what
// TLS and the end of a connection mean.
func reasonOf(err error) probes.Reason {
	var (
		record tls.RecordHeaderError
		dns    *net.DNSError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return probes.NotFound
	case errors.As(err, &record):
		return probes.Malformed
	case isClientAlert(err):
		return probes.Auth
	case isAlert(err, alertUnrecognizedName):
		return probes.NotFound
	case isAlert(err, alertInternalError):
		return probes.Unavailable
	case isAlert(err, alertHandshakeFailure, alertProtocolVersion, alertInsufficientSecurity, alertNoApplicationProtocol):
		return probes.Unsupported
	case isAlert(err):
		return probes.Malformed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return probes.Network
	}
	reason := probes.ReasonOf(err)
	if local := (*net.OpError)(nil); reason == probes.Other && errors.As(err, &local) && local.Op == "local error" {
		return probes.Malformed
	}
	return reason
}

// isClientAlert reports whether a server ended the connection over the
// certificate of its client.
func isClientAlert(err error) bool {
	return isAlert(err, alertBadCertificate, alertUnsupportedCertificate, alertCertificateRevoked, alertCertificateExpired,
		alertCertificateUnknown, alertUnknownCA, alertAccessDenied, alertCertificateRequired)
}

// isAlert reports whether err is one of these alerts of the server, or any of
// its alerts when none is named. The standard library keeps the type of an alert
// to itself, so alerts are compared by its words for them.
func isAlert(err error, alerts ...tls.AlertError) bool {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return false
	}
	for _, alert := range alerts {
		if remote.Err.Error() == alert.Error() {
			return true
		}
	}
	return len(alerts) == 0
}
