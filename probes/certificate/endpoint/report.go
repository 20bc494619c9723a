// Package endpoint finds out what a TLS server shows. It promises that dates are
// never lost to a verdict: whatever certificates a server sends are reported,
// expired, untrusted, for another name or unreadable to a strict parser, and
// whether they can be trusted is a second answer beside them. A server, however
// hostile, costs at most one timeout and a bounded amount of memory.
package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/revocation"
)

// A Target is a server that should be inspected.
type Target struct {
	Name    string // for the one who asks; it changes nothing
	Network string // "tcp" or "unix"; empty means "tcp"
	Address string // host:port, or the path of a socket
	// ServerName is the name that is asked for (SNI) and that the certificate
	// must carry. Empty means the host of Address; for a unix socket it means
	// that no name is asked for or checked.
	ServerName string
	// StartTLS is the dialogue that comes before TLS, one of Protocols; empty
	// means that TLS begins at once.
	StartTLS string
	// Roots are the authorities that are trusted; nil means those of the host.
	Roots *x509.CertPool
	// ClientCertificates are shown to a server that asks for one.
	ClientCertificates []tls.Certificate
	// All inspects every address of the host, and not only one that answers.
	All bool
	// Timeout bounds the inspection of each address; 0 means DefaultTimeout.
	Timeout time.Duration
}

// DefaultTimeout bounds an inspection whose Target sets no Timeout.
const DefaultTimeout = 10 * time.Second

// A Stage is a step of an inspection. The set is closed and part of the metric
// contract.
type Stage string

// The stages, in their order.
const (
	DNS       Stage = "dns"
	Connect   Stage = "connect"
	StartTLS  Stage = "starttls"
	Handshake Stage = "handshake"
	Verify    Stage = "verify"
)

// Stages lists the closed set, in its order.
func Stages() []Stage { return []Stage{DNS, Connect, StartTLS, Handshake, Verify} }

// A Report is what one inspection learned: at least one Server, even when the
// name has no address.
type Report struct {
	Target  Target
	Servers []Server
}

// skipped reports whether the turn of the target did not come.
func (r Report) skipped() bool {
	failure := r.Servers[0].Failure
	return failure != nil && failure.Reason == probes.NotRun
}

// A Server is what was found at one address.
type Server struct {
	// Address is the address and port, or the path, that was connected to. When
	// no connection was made it is what was tried, and empty when that is not
	// known because the name could not be resolved.
	Address string
	// Certificates are those that were sent, in the order of the server, the
	// server's own first.
	Certificates []Certificate
	Version      string // "1.0" to "1.3"; empty when none was agreed on
	Cipher       string // in the words of IANA; empty when none was agreed on
	ClientAuth   ClientAuth
	Trust        Trust
	// Revocation holds what is known of a revocation: the stapled response, if
	// there is one, and what others were asked.
	Revocation []revocation.Answer
	// Failure is where the inspection stopped, or, in the stage Verify, that the
	// certificates cannot be trusted; nil when all is well.
	Failure *Failure
}

// A Certificate is one that a server sent.
type Certificate struct {
	bundle.Certificate
	Raw []byte // as sent
	// Err says that not even the lenient reader understands it; then only Raw is
	// known.
	Err error
	// Spare says that the server was found to be trusted without it: no chain
	// that a client needs holds it, so its end is the end of nothing.
	Spare bool
}

// A ClientAuth says whether a server wants a certificate of its client.
type ClientAuth string

// What a server may want of its client.
const (
	NotRequested ClientAuth = ""          // it did not ask, or the handshake did not get that far
	Requested    ClientAuth = "requested" // it asked, and was content with what it got
	Refused      ClientAuth = "refused"   // it asked, and ended the connection over the answer
)

// A Failure is the stage at which an inspection failed, and why.
type Failure struct {
	Stage  Stage
	Reason probes.Reason
	Err    error
}

func (f *Failure) Error() string { return string(f.Stage) + ": " + f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

func fail(stage Stage, err error) *Failure {
	return &Failure{Stage: stage, Reason: reasonOf(err), Err: err}
}
