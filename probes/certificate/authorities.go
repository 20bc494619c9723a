package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// trustStores lists where distributions keep the authorities that a host trusts,
// as one file; the first that exists counts.
func trustStores() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Red Hat
		"/var/lib/ca-certificates/ca-bundle.pem",            // SUSE
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem", // Alpine
	}
}

// maxTrustStore bounds a file of authorities. Common ones have 250 KiB.
const maxTrustStore = 8 << 20

// hostRoots reads the authorities that the host trusts, and further ones. They
// are read anew for each round of inspections, because an update may add one or
// take one away.
func hostRoots(files *rootfs.FS, further []string) (*x509.CertPool, error) {
	for _, path := range trustStores() {
		if _, err := files.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return readRoots(files, append([]string{path}, further...)...)
	}
	if len(further) > 0 {
		return readRoots(files, further...)
	}
	return nil, probes.Because(probes.NotFound, errors.New("no file says whom this host trusts; install ca-certificates or name ca_files"))
}

// readRoots reads the authorities of files.
func readRoots(files *rootfs.FS, paths ...string) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	for _, path := range paths {
		data, err := files.ReadFile(path, maxTrustStore)
		if err != nil {
			return nil, err
		}
		if !roots.AppendCertsFromPEM(data) {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("%s holds no certificate in PEM", path))
		}
	}
	return roots, nil
}

// credentials is what a Client has in files.
type credentials struct {
	roots *x509.CertPool // nil means those of the host
	shown []tls.Certificate
}

// read reads the files of a client.
func (c Client) read(files *rootfs.FS) (have credentials, err error) {
	if len(c.CAFiles) > 0 {
		if have.roots, err = readRoots(files, c.CAFiles...); err != nil {
			return have, fmt.Errorf("the authorities: %w", err)
		}
	}
	if c.ClientCertificate == "" {
		return have, nil
	}
	certificate, err := files.ReadFile(c.ClientCertificate, maxTrustStore)
	if err != nil {
		return have, fmt.Errorf("the client certificate: %w", err)
	}
	key := certificate
	if c.ClientKey != "" {
		if key, err = files.ReadFile(c.ClientKey, maxTrustStore); err != nil {
			return have, fmt.Errorf("the key of the client certificate: %w", err)
		}
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return have, probes.Because(probes.Malformed, fmt.Errorf("%s: %w", c.ClientCertificate, err))
	}
	have.shown = []tls.Certificate{pair}
	return have, nil
}
