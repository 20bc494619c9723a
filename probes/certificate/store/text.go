package store

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"unicode/utf16"

	"hygiene_exporter/probes/certificate/ber"
	"hygiene_exporter/probes/certificate/bundle"
)

// The marks of PEM, RFC 7468, and the beginning of one in base64.
const (
	markBegin   = "-----BEGIN "
	markEnd     = "-----END "
	markEncoded = "LS0tLS1CRUdJTi"
)

// text reads a file of text.
func (r *reader) text(name string, data []byte) Kind {
	data = narrow(data)
	if kind, ok := r.document(name, data); ok {
		return kind
	}
	r.blocks(name, unescape(data))
	kind := Unknown
	if bytes.Contains(data, []byte(markBegin)) {
		kind = PEM
	}
	if r.encodedBlocks(name, data) && kind == Unknown {
		kind = Document
	}
	if name == "" && bytes.Contains(data, []byte(markSSH)) && r.sshLines(data) && kind == Unknown {
		kind = SSH
	}
	return kind
}

// narrow turns UTF-16, which editors of Windows write, into UTF-8.
func narrow(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, len(data)/2-1)
	for i := range units {
		units[i] = order.Uint16(data[2*i+2:])
	}
	return []byte(string(utf16.Decode(units)))
}

// unescape turns the escapes of line breaks that JSON and shell scripts put into
// a block into white space, which keeps the numbers of lines. What is no such
// escape means nothing to PEM.
func unescape(data []byte) []byte {
	if !bytes.Contains(data, []byte(`-----\`)) {
		return data
	}
	for _, escape := range []string{`\\n`, `\\r`, `\n`, `\r`} {
		data = bytes.ReplaceAll(data, []byte(escape), []byte("  "))
	}
	return bytes.ReplaceAll(data, []byte(`\/`), []byte("/"))
}

// blocks reads the PEM blocks of a text.
func (r *reader) blocks(name string, data []byte) {
	if !bytes.Contains(data, []byte(markBegin)) {
		return
	}
	if data[0] == ber.TagSequence { // the digit 0, which the bundle could take for DER
		data = append([]byte(" "), data...)
	}
	b, err := bundle.Parse(data)
	if err == nil || errors.Is(err, bundle.ErrNone) {
		r.add(Entry{Name: name, Certificates: b.Certificates, Errors: b.Errors})
	}
	if keys := bundle.PrivateKeys(data); len(keys) > 0 && len(r.keys) < maxErrors {
		r.keys[name] = append(r.keys[name], keys...)
	}
	if len(b.Others) > 0 || bytes.Contains(data, []byte("PKCS")) || bytes.Contains(data, []byte("CRL")) || bytes.Contains(data, []byte("CMS")) {
		r.otherBlocks(name, data)
	}
}

// otherBlocks reads the blocks that are no certificate and have some inside.
func (r *reader) otherBlocks(name string, data []byte) {
	for line := 1; r.left >= 0; {
		start := bytes.Index(data, []byte(markBegin))
		if start < 0 {
			return
		}
		line += bytes.Count(data[:start], []byte("\n"))
		block := data[start:]
		if next := bytes.Index(block[1:], []byte(markBegin)); next >= 0 {
			block = block[:next+1]
		}
		data = data[start+len(block):]
		r.block(name, block, line)
		line += bytes.Count(block, []byte("\n"))
	}
}

// block reads one block, which begins with its mark and may have no end.
func (r *reader) block(name string, block []byte, line int) {
	label, body, ok := bytes.Cut(block[len(markBegin):], []byte("-----"))
	if !ok || len(label) > 64 {
		return
	}
	var read func(string, []byte)
	switch string(label) {
	case "PKCS7", "CMS", "PKCS #7 SIGNED DATA":
		read = r.signedData
	case "X509 CRL":
		read = r.revocation
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
		return
	default:
		if len(r.content.Others) < maxErrors {
			r.content.Others = append(r.content.Others, string(label))
		}
		return
	}
	der, err := decodeBlock(body)
	if err != nil {
		r.fail(name, fmt.Errorf("%s on line %d: %w", label, line, err))
		return
	}
	read(name, der)
}

func decodeBlock(body []byte) ([]byte, error) {
	text, _, ok := bytes.Cut(body, []byte(markEnd))
	if !ok {
		return nil, errors.New("the block has no end")
	}
	// The standard library knows headers; marks of our own keep it from looking
	// for others.
	framed := append([]byte("-----BEGIN X-----\n"), bytes.TrimSpace(text)...)
	if p, _ := pem.Decode(append(framed, "\n-----END X-----\n"...)); p != nil {
		return p.Bytes, nil
	}
	return decodeBase64(text)
}

// decodeBase64 decodes base64 with any white space and with or without padding.
func decodeBase64(text []byte) ([]byte, error) {
	packed := make([]byte, 0, len(text))
	for _, c := range text {
		if c > ' ' {
			packed = append(packed, c)
		}
	}
	packed = bytes.TrimRight(packed, "=")
	decoded := make([]byte, base64.RawStdEncoding.DecodedLen(len(packed)))
	n, err := base64.RawStdEncoding.Decode(decoded, packed)
	if err != nil {
		return nil, fmt.Errorf("not base64: %w", err)
	}
	return decoded[:n], nil
}

// encodedBlocks reads the runs of base64 in which PEM stands, as environment
// files and templates have them.
func (r *reader) encodedBlocks(name string, data []byte) (found bool) {
	for r.left >= 0 {
		start := bytes.Index(data, []byte(markEncoded))
		if start < 0 {
			return found
		}
		data = data[start:]
		end := bytes.IndexFunc(data, func(c rune) bool { return !isBase64(c) })
		if end < 0 {
			end = len(data)
		}
		if plain, err := decodeBase64(data[:end]); err == nil {
			found = true
			r.blocks(name, plain)
		}
		data = data[end:]
	}
	return found
}

func isBase64(c rune) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '='
}
