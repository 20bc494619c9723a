// Package bundle reads the certificates of a file, as PEM or DER. It promises
// that no certificate hides another: each block of a file becomes a certificate
// or an error of its own, whatever stands before, behind and between.
package bundle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"hygiene_exporter/probes/certificate/ber"
)

// A Bundle is what a file holds.
type Bundle struct {
	Certificates []Certificate // in the order of the file
	Errors       []error       // of blocks that claim to be a certificate and are none
	Others       []string      // the kinds of the other PEM blocks, such as "PRIVATE KEY"
}

// The reasons for which a file is no bundle.
var (
	// ErrNone says that nothing in the file claims to be a certificate.
	ErrNone = errors.New("holds no certificate")
)

// maxCertificates bounds the certificates of one file.
const maxCertificates = 5000

// Parse reads the content of a file. The error is ErrNone when there is nothing
// to read; blocks that cannot be read are errors in the Bundle.
func Parse(data []byte) (Bundle, error) {
	if looksBinary(data) {
		return parseDER(data)
	}
	return parsePEM(data)
}

// looksBinary reports whether the data begin like an ASN.1 sequence and not
// like text.
func looksBinary(data []byte) bool {
	return len(data) > 1 && data[0] == ber.TagSequence && (data[1] >= 0x80 || bytes.IndexByte(data, 0) >= 0)
}

// parseDER reads certificates one behind the other. RFC 5280 §4.1.
func parseDER(data []byte) (b Bundle, err error) {
	for n := 1; len(data) > 0 && len(b.Certificates) < maxCertificates; n++ {
		element, rest, err := ber.Read(data)
		if err != nil {
			b.Errors = append(b.Errors, fmt.Errorf("certificate %d: %w", n, err))
			break
		}
		certificate, err := parseCertificate(element.Whole)
		switch {
		case err == nil:
			b.Certificates = append(b.Certificates, certificate)
		case n == 1:
			return Bundle{}, fmt.Errorf("%w: %w", ErrNone, err)
		default:
			b.Errors = append(b.Errors, fmt.Errorf("certificate %d: %w", n, err))
		}
		data = bytes.TrimLeft(rest, "\r\n\x00")
	}
	return b, nil
}

// The marks of PEM, RFC 7468. The standard library skips what it cannot read
// without a word, so it cannot be used to find out that something is broken.
const (
	markBegin = "-----BEGIN "
	markEnd   = "-----END "
	markClose = "-----"
)

func parsePEM(data []byte) (b Bundle, err error) {
	line, found := 1, false
	for {
		start := bytes.Index(data, []byte(markBegin))
		if start < 0 {
			break
		}
		line += bytes.Count(data[:start], []byte("\n"))
		data = data[start+len(markBegin):]
		label, body, rest, err := cutBlock(data)
		claims := isCertificate(label)
		found = found || claims
		switch {
		case !claims && err == nil && len(b.Others) < maxCertificates:
			b.Others = append(b.Others, label)
		case !claims:
			// An unreadable key or parameter is somebody else's business.
		case len(b.Certificates)+len(b.Errors) >= maxCertificates:
			b.Errors = append(b.Errors, fmt.Errorf("more than %d certificates", maxCertificates))
			return b, nil
		default:
			certificate, err := decodeBlock(body, err)
			if err != nil {
				b.Errors = append(b.Errors, fmt.Errorf("certificate on line %d: %w", line, err))
				break
			}
			b.Certificates = append(b.Certificates, certificate)
		}
		line += bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
		data = rest
	}
	if !found {
		return b, ErrNone
	}
	return b, nil
}

// isCertificate reports whether a PEM label is one of a certificate. "TRUSTED"
// is OpenSSL's own, with settings behind the certificate.
func isCertificate(label string) bool {
	switch label {
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
		return true
	}
	return false
}

var (
	errNoEnd   = errors.New("the block has no end")
	errNoClose = errors.New("the first line of the block is not closed")
)

// cutBlock cuts a block whose mark of beginning has been read. A block ends at
// its own mark of end, or where another begins.
func cutBlock(data []byte) (label string, body, rest []byte, err error) {
	head := data
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i]
	}
	if next := bytes.Index(head, []byte(markBegin)); next >= 0 {
		head = head[:next+len(markClose)-1] // not to take the mark of another block for the end of this line
	}
	closing := bytes.Index(head, []byte(markClose))
	if closing < 0 {
		label = strings.TrimSpace(string(head[:min(len(head), 64)]))
		return label, nil, data[max(0, len(head)-len(markClose)+1):], errNoClose
	}
	label = string(data[:closing])
	data = data[closing+len(markClose):]
	// The end is looked for no further than the next beginning: a file of nothing
	// but beginnings is read once.
	next := bytes.Index(data, []byte(markBegin))
	if next < 0 {
		next = len(data)
	}
	end := bytes.Index(data[:next], []byte(markEnd))
	if end < 0 {
		return label, nil, data[next:], errNoEnd
	}
	return label, data[:end], data[end+len(markEnd):], nil
}

// decodeBlock reads the content of a block that claims to be a certificate.
func decodeBlock(body []byte, err error) (Certificate, error) {
	if err != nil {
		return Certificate{}, err
	}
	der, err := decodeBase64(body)
	if err != nil {
		return Certificate{}, err
	}
	element, _, err := ber.Read(der) // TRUSTED CERTIFICATE has more behind it
	if err != nil {
		return Certificate{}, err
	}
	return parseCertificate(element.Whole)
}

// decodeBase64 decodes the lines of a block, without its headers (RFC 1421) and
// whatever white space there is.
func decodeBase64(body []byte) ([]byte, error) {
	text := make([]byte, 0, len(body))
	for row := range bytes.Lines(body) {
		if bytes.IndexByte(row, ':') >= 0 {
			continue
		}
		for _, c := range row {
			if c > ' ' {
				text = append(text, c)
			}
		}
	}
	encoding := base64.StdEncoding
	if len(text)%4 != 0 {
		encoding = base64.RawStdEncoding
		text = bytes.TrimRight(text, "=")
	}
	der := make([]byte, encoding.DecodedLen(len(text)))
	n, err := encoding.Decode(der, text)
	if err != nil {
		return nil, fmt.Errorf("not base64: %w", err)
	}
	return der[:n], nil
}
