package tool

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/bmc"
)

// A Service is a Redfish service to ask, mostly a management controller.
type Service struct {
	Name         string
	URL          string
	Username     string
	PasswordFile string
	CAFile       string // empty: the certificates of the system
	Fingerprint  string // SHA-256 of its certificate, in place of any other check
}

// maxResource bounds one resource, and maxRequests what is asked in one round.
const (
	maxResource = 1 << 20
	maxRequests = 400
	maxSecret   = 64 << 10
)

// services returns a function that lists the services that are configured.
func services(all []Service) func(*rootfs.FS) ([]string, error) {
	return func(*rootfs.FS) (names []string, _ error) {
		for _, s := range all {
			names = append(names, s.Name)
		}
		return names, nil
	}
}

// askRedfish returns a function that asks all services. One that does not answer
// is the fault of its own objects alone, once they are known.
func askRedfish(all []Service) func(*asking) ([]group.Group, error) {
	return func(a *asking) ([]group.Group, error) {
		var groups []group.Group
		var failed error
		for _, s := range all {
			client, err := s.client(a)
			var told []group.Group
			if err == nil {
				told, err = bmc.Redfish(a.ctx, s.Name, client.get)
			}
			groups = append(groups, told...)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
			}
		}
		return groups, failed
	}
}

// client asks one service.
type client struct {
	Service
	http     http.Client
	password string
	left     int // requests
}

func (s Service) client(a *asking) (*client, error) {
	c := &client{Service: s, left: maxRequests}
	if s.PasswordFile != "" {
		data, err := a.host.Files.ReadFile(s.PasswordFile, maxSecret)
		if err != nil {
			return nil, err
		}
		c.password = strings.TrimRight(string(data), "\r\n")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		data, err := a.host.Files.ReadFile(s.CAFile, maxResource)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("%s holds no certificate", s.CAFile))
		}
	}
	if s.Fingerprint != "" {
		config.InsecureSkipVerify = true //nolint:gosec // the certificate itself is compared
		config.VerifyConnection = s.pinned
	}
	c.http = http.Client{
		Transport: &http.Transport{DialContext: a.host.Dial, TLSClientConfig: config, DisableKeepAlives: false, MaxIdleConns: 1},
		// A password goes to nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// pinned compares the certificate of the service with the one that is expected.
func (s Service) pinned(state tls.ConnectionState) error {
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	if want := strings.ToLower(strings.ReplaceAll(s.Fingerprint, ":", "")); hex.EncodeToString(sum[:]) != want {
		return probes.Because(probes.Auth, fmt.Errorf("the certificate has the fingerprint %x, and another is configured", sum))
	}
	return nil
}

// get gets a resource by its path.
func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	if c.left--; c.left < 0 {
		return nil, probes.Because(probes.TooLarge, fmt.Errorf("more than %d requests", maxRequests))
	}
	base, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(path, "/redfish/") || strings.Contains(path, "..") {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("%.80q is no path of a resource", path))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if c.Username != "" {
		request.SetBasicAuth(c.Username, c.password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResource+1))
	switch code := response.StatusCode; {
	case err != nil:
		return nil, err
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return nil, probes.Because(probes.Auth, fmt.Errorf("%s is answered with %s", path, response.Status))
	case code == http.StatusNotFound:
		return nil, probes.Because(probes.NotFound, fmt.Errorf("%s is answered with %s", path, response.Status))
	case code != http.StatusOK:
		return nil, probes.Because(probes.Unavailable, fmt.Errorf("%s is answered with %s", path, response.Status))
	case len(body) > maxResource:
		return nil, probes.Because(probes.TooLarge, fmt.Errorf("%s has more than %d bytes", path, maxResource))
	}
	return body, nil
}
