package store

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format uses it
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
	"hygiene_exporter/probes/certificate/bundle"
)

// The first bytes of the keystores of Java's own making.
const (
	magicJKS   = "\xfe\xed\xfe\xed"
	magicJCEKS = "\xce\xce\xce\xce"
)

// The kinds of entries.
const (
	entryKey     = 1
	entryTrusted = 2
	entrySecret  = 3 // of JCEKS alone
)

// whitener is what Java mixes into the digest of a keystore.
const whitener = "Mighty Aphrodite"

// keystore reads a JKS or JCEKS as sun.security.provider.JavaKeyStore writes it:
// big-endian numbers, entries, and a digest over password and content. The
// certificates are not encrypted, so that no password is needed to read them.
func (r *reader) keystore(name string, data []byte, kind Kind) {
	k := java{rest: data[len(magicJKS):]}
	version, count := k.uint32(), k.uint32()
	if k.err == nil && version != 1 && version != 2 {
		k.err = probes.Because(probes.Unsupported, fmt.Errorf("version %d of %s is not known", version, kind))
	}
	var entries []javaEntry
	for n := uint32(1); n <= count && k.err == nil && r.left >= 0; n++ {
		entries = append(entries, r.javaEntry(&k, version))
		if k.err != nil {
			k.err = fmt.Errorf("entry %d of %d: %w", n, count, k.err)
		}
	}
	defer func() {
		for _, e := range entries {
			e.Name = within(name, e.Name)
			r.add(e.Entry)
		}
	}()
	if k.err != nil {
		r.fail(name, fmt.Errorf("%s: %w", kind, k.err))
		return
	}
	if r.left < 0 || count == 0 {
		return // an empty store needs no proof
	}
	body := data[:len(data)-len(k.rest)]
	digest := k.bytes(sha1.Size)
	if k.err != nil {
		r.fail(name, fmt.Errorf("%s: digest: %w", kind, k.err))
		return
	}
	password, err := r.javaPassword(body, digest)
	if err != nil {
		r.fail(name, fmt.Errorf("%s: %w", kind, err))
		return
	}
	for i, e := range entries {
		if e.secret != nil {
			r.content.Open = wellKnown(password)
			entries[i].Keys = []bundle.PrivateKey{javaKey(e.secret, password)}
		}
	}
}

// javaPassword finds the password with which a keystore was made.
func (r *reader) javaPassword(body, digest []byte) (string, error) {
	for _, password := range r.passwords {
		if err := r.spend(len(body)/sha1.BlockSize + 1); err != nil {
			return "", err
		}
		if subtle.ConstantTimeCompare(javaDigest(password, body), digest) == 1 {
			return password, nil
		}
	}
	return "", probes.Because(probes.Auth, ErrUnverified)
}

func javaDigest(password string, body []byte) []byte {
	h := sha1.New() //nolint:gosec // the format uses it
	h.Write(bigEndian16(password))
	h.Write([]byte(whitener))
	h.Write(body)
	return h.Sum(nil)
}

// bigEndian16 encodes text as UTF-16 without a mark, as Java's char and the
// BMPString of ASN.1 do.
func bigEndian16(text string) []byte {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = binary.BigEndian.AppendUint16(encoded, unit)
	}
	return encoded
}

// A javaEntry is an entry with its encrypted key.
type javaEntry struct {
	Entry
	secret []byte
}

// javaEntry reads one entry. A certificate that cannot be read is an error of the
// entry; the error of k says that the place of the next entry is not known.
func (r *reader) javaEntry(k *java, version uint32) (e javaEntry) {
	tag := k.uint32()
	e.Name = k.text()
	e.Trusted = tag == entryTrusted
	k.bytes(8) // when it was made
	chain := uint32(1)
	switch {
	case k.err != nil:
		return e
	case tag == entryKey:
		e.secret = k.bytes(int(k.uint32()))
		chain = k.uint32()
	case tag == entrySecret:
		r.others = true
		k.skipObject()
		return e
	case tag != entryTrusted:
		k.err = fmt.Errorf("%.40q is of a kind that is not known: %d", e.Name, tag)
		return e
	}
	for n := uint32(1); n <= chain && k.err == nil && len(e.Certificates)+len(e.Errors) <= maxItems; n++ {
		kind := "X.509"
		if version > 1 {
			kind = k.text()
		}
		der := k.bytes(int(k.uint32()))
		if k.err != nil {
			k.err = fmt.Errorf("certificate %d of %d of %.40q: %w", n, chain, e.Name, k.err)
			e.Errors = append(e.Errors, fmt.Errorf("certificate %d of %d: %w", n, chain, ber.ErrShort))
			break
		}
		c, err := certificate(der)
		switch {
		case kind != "X.509" && kind != "X509":
			e.Errors = append(e.Errors, probes.Because(probes.Unsupported, fmt.Errorf("certificate %d is of the kind %.40q", n, kind)))
		case err != nil:
			e.Errors = append(e.Errors, fmt.Errorf("certificate %d: %w", n, err))
		default:
			e.Certificates = append(e.Certificates, c)
		}
	}
	return e
}

// within names something inside a file inside a file.
func within(outer, inner string) string {
	if outer == "" || inner == "" {
		return outer + inner
	}
	return outer + "/" + inner
}

// A java reads what java.io.DataOutputStream writes.
type java struct {
	rest []byte
	err  error
}

func (k *java) bytes(n int) []byte {
	if k.err == nil && (n < 0 || n > len(k.rest)) {
		k.err = ber.ErrShort
	}
	if k.err != nil {
		return nil
	}
	taken := k.rest[:n]
	k.rest = k.rest[n:]
	return taken
}

func (k *java) uint32() uint32 {
	if b := k.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (k *java) uint16() int {
	if b := k.bytes(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (k *java) byte() byte {
	if b := k.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// text reads a string in Java's own UTF-8, in which characters beyond the first
// plane are two halves of three bytes each, and zero is two bytes.
func (k *java) text() string {
	b := k.bytes(k.uint16())
	if !bytes.ContainsFunc(b, func(c rune) bool { return c >= 0x80 }) {
		return string(b)
	}
	var units []uint16
	for len(b) > 0 {
		switch {
		case b[0]&0xe0 == 0xc0 && len(b) > 1:
			units = append(units, uint16(b[0]&0x1f)<<6|uint16(b[1]&0x3f))
			b = b[2:]
		case b[0]&0xf0 == 0xe0 && len(b) > 2:
			units = append(units, uint16(b[0])<<12|uint16(b[1]&0x3f)<<6|uint16(b[2]&0x3f))
			b = b[3:]
		default:
			units = append(units, uint16(b[0]))
			b = b[1:]
		}
	}
	return strings.ToValidUTF8(string(utf16.Decode(units)), "\uFFFD")
}
