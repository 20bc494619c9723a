package bucket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"hygiene_exporter/probes"
)

// maxFile bounds a file with credentials or with certificates.
const maxFile = 1 << 20

// keys are those of an account.
type keys struct{ access, secret, token string }

// parseCredentials reads a file in the form of ~/.aws/credentials. Its errors
// name lines, and repeat nothing of them.
func parseCredentials(text []byte, profile string) (keys, error) {
	if profile == "" {
		profile = "default"
	}
	var (
		k       keys
		section string
		found   bool
		number  int
	)
	into := map[string]*string{"aws_access_key_id": &k.access, "aws_secret_access_key": &k.secret, "aws_session_token": &k.token}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		number++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, closed := strings.CutSuffix(name, "]")
			if !closed {
				return keys{}, fmt.Errorf("line %d begins a section and does not end it", number)
			}
			section = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), "profile "))
			found = found || section == profile
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return keys{}, fmt.Errorf("line %d is neither a section nor a key with a value", number)
		}
		if target := into[strings.TrimSpace(key)]; target != nil && section == profile {
			*target = strings.TrimSpace(value)
		}
	}
	switch {
	case !found:
		return keys{}, fmt.Errorf("there is no profile %.40q", profile)
	case k.access == "" || k.secret == "":
		return keys{}, fmt.Errorf("the profile %.40q lacks aws_access_key_id or aws_secret_access_key", profile)
	}
	return k, nil
}

// authorities returns the certificates of the configured file, if there is one.
func (b *Bucket) authorities() ([]byte, error) {
	if b.options.CAFile == "" {
		return nil, nil
	}
	return b.host.Files.ReadFile(b.options.CAFile, maxFile)
}

// patience is how long a server may say nothing.
const patience = 30 * time.Second

func (b *Bucket) transport(authorities []byte) (http.RoundTripper, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if b.options.CAFile != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("%s holds no certificate", b.options.CAFile))
		}
	}
	return speaking{&http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			conn, err := b.host.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return impatient{conn}, nil
		},
		TLSClientConfig: conf, TLSHandshakeTimeout: patience,
		MaxIdleConnsPerHost: 2, IdleConnTimeout: patience,
		DisableCompression: true, // what is stored compressed must come as it is
	}}, nil
}

// speaking refuses a page of a proxy or of a login, which would be read as the
// list of an empty bucket.
type speaking struct{ http.RoundTripper }

func (s speaking) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.RoundTripper.RoundTrip(request)
	if err != nil || !strings.Contains(response.Header.Get("Content-Type"), "html") {
		return response, err
	}
	if !slices.ContainsFunc([]string{"list-type", "versions", "versioning", "uploads", "location"}, request.URL.Query().Has) {
		return response, nil
	}
	response.Body.Close()
	return nil, errNoServer
}

var errNoServer = probes.Because(probes.Malformed, errors.New("what answers is no server of buckets, but shows a page"))

// impatient gives up on a server that says nothing for long, however long all
// that it has to say may take.
type impatient struct{ net.Conn }

func (c impatient) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c.Conn.Read(p)
}

// What servers answer, by what it means.
func answers() map[probes.Reason][]string {
	return map[probes.Reason][]string{
		probes.Auth: {
			"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
			"AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "InvalidSecurity", "NotSignedUp", "AccountProblem",
		},
		probes.PermissionDenied: {"AccessDenied", "AllAccessDisabled", "UnauthorizedAccess", "MethodNotAllowed"},
		probes.NotFound:         {"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NotFound"},
		probes.Locked:           {"PreconditionFailed"},
		probes.Unsupported:      {"NotImplemented", "InvalidObjectState", "PermanentRedirect", "XNotImplemented"},
		probes.Timeout:          {"RequestTimeout"},
		probes.Unavailable:      {"SlowDown", "ServiceUnavailable", "InternalError", "Busy", "XMinioServerNotInitialized"},
	}
}

// explain gives an error of a request its reason, and leaves the name of the key
// out.
func (b *Bucket) explain(err error) error {
	var (
		answer    minio.ErrorResponse
		untrusted *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &untrusted):
		return probes.Because(probes.Auth, fmt.Errorf("the server cannot prove who it is: %w", untrusted.Err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, http.ErrSchemeMismatch):
		return probes.Because(probes.Network, err)
	case !errors.As(err, &answer):
		return err
	}
	text := answer.Message
	if b.access != "" {
		text = strings.ReplaceAll(text, b.access, "…")
	}
	told := fmt.Errorf("the server says %s: %s", answer.Code, strings.TrimSuffix(text, "."))
	for reason, codes := range answers() {
		if slices.Contains(codes, answer.Code) {
			return probes.Because(reason, told)
		}
	}
	switch {
	case answer.StatusCode == http.StatusForbidden:
		return probes.Because(probes.PermissionDenied, told)
	case answer.StatusCode >= 500:
		return probes.Because(probes.Unavailable, told)
	}
	return told
}
