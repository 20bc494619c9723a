package endpoint

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"
)

// A wiretap keeps the first bytes that a server sent, and the secret that
// decrypts them, for the one purpose of finding the certificates in them. Its
// methods are called by one goroutine.
type wiretap struct {
	net.Conn
	heard   []byte
	secret  []byte // of the server's side of the handshake; TLS 1.3 only
	stopped bool
}

// maxHeard bounds what is kept. The standard library reads no longer list of
// certificates than 256 KiB.
const maxHeard = 320 << 10

// Read implements net.Conn.
func (w *wiretap) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if !w.stopped {
		w.heard = append(w.heard, p[:min(n, maxHeard-len(w.heard))]...)
	}
	return n, err
}

// stop drops what was kept: it is not needed.
func (w *wiretap) stop() { w.stopped, w.heard, w.secret = true, nil, nil }

// A keyLog gives a wiretap the secrets of its session, in the lines of the NSS
// key log format.
type keyLog struct{ *wiretap }

// Write takes one line of the log of keys.
func (k keyLog) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) == 3 && string(fields[0]) == "SERVER_HANDSHAKE_TRAFFIC_SECRET" && !k.stopped {
		k.secret, _ = hex.DecodeString(string(fields[2]))
	}
	return len(line), nil
}

// certificates finds the list of certificates in what was heard; nil if it is
// not there as a whole.
func (w *wiretap) certificates() [][]byte { return heardCertificates(w.heard, w.secret) }

// The types of records and handshake messages, RFC 8446 §5.1 and §4.
const (
	recordHandshake    = 22
	recordApplication  = 23
	messageHello       = 2
	messageCertificate = 11
)

// heardCertificates follows the records of a server up to its list of
// certificates: in the clear up to TLS 1.2 (RFC 5246 §7.4.2), encrypted with a
// key that comes from secret in TLS 1.3 (RFC 8446 §4.4.2).
func heardCertificates(heard, secret []byte) [][]byte {
	var (
		input    = cryptobyte.String(heard)
		messages []byte
		open     *opener
	)
	for {
		var (
			kind    uint8
			version uint16
			body    cryptobyte.String
		)
		if !input.ReadUint8(&kind) || !input.ReadUint16(&version) || !input.ReadUint16LengthPrefixed(&body) {
			return nil
		}
		switch {
		case kind == recordHandshake && open == nil:
			messages = append(messages, body...)
		case kind == recordApplication && open != nil:
			inner, ok := open.record(body)
			if !ok {
				return nil
			}
			messages = append(messages, inner...)
		}
		hello, list := scan(messages)
		if list != nil {
			return listed(list, open != nil)
		}
		if open == nil && hello != nil && len(secret) > 0 {
			open = newOpener(hello, secret)
		}
	}
}

// maxMessages is how far the list of certificates is looked for. It comes third
// at the latest: after a first hello, a second one and the extensions.
const maxMessages = 8

// scan finds the last hello and the list of certificates among the messages of
// a handshake.
func scan(messages []byte) (hello, list []byte) {
	input := cryptobyte.String(messages)
	for range maxMessages {
		var (
			kind uint8
			body cryptobyte.String
		)
		if !input.ReadUint8(&kind) || !input.ReadUint24LengthPrefixed(&body) {
			return hello, nil
		}
		switch kind {
		case messageHello:
			hello = body
		case messageCertificate:
			return hello, body
		}
	}
	return hello, nil
}

// listed cuts a list of certificates. In TLS 1.3 it has a context before it and
// extensions behind each certificate.
func listed(list cryptobyte.String, modern bool) (certificates [][]byte) {
	var context, entries cryptobyte.String
	if modern && !list.ReadUint8LengthPrefixed(&context) || !list.ReadUint24LengthPrefixed(&entries) {
		return nil
	}
	for !entries.Empty() {
		var der, extensions cryptobyte.String
		if !entries.ReadUint24LengthPrefixed(&der) || modern && !entries.ReadUint16LengthPrefixed(&extensions) {
			break
		}
		certificates = append(certificates, bytes.Clone(der))
	}
	return certificates
}

// An opener decrypts the records of a server, RFC 8446 §5.2.
type opener struct {
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
}

// newOpener derives the keys, RFC 8446 §7.3; nil if it cannot.
func newOpener(hello cryptobyte.String, secret []byte) *opener {
	var (
		session cryptobyte.String
		suite   uint16
	)
	const versionAndRandom = 2 + 32
	if !hello.Skip(versionAndRandom) || !hello.ReadUint8LengthPrefixed(&session) || !hello.ReadUint16(&suite) {
		return nil
	}
	newHash, size := sha256.New, 16
	switch suite {
	case tls.TLS_AES_256_GCM_SHA384:
		newHash, size = sha512.New384, 32
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		size = chacha20poly1305.KeySize
	}
	key := expand(newHash, secret, "key", size)
	o := &opener{iv: expand(newHash, secret, "iv", 12)}
	if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		o.aead, _ = chacha20poly1305.New(key)
	} else if block, err := aes.NewCipher(key); err == nil {
		o.aead, _ = cipher.NewGCM(block)
	}
	if o.aead == nil || o.iv == nil {
		return nil
	}
	return o
}

// expand is HKDF-Expand-Label with an empty context, RFC 8446 §7.1.
func expand(newHash func() hash.Hash, secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len(label)))
	info = append(append(info, label...), 0)
	key, err := hkdf.Expand(newHash, secret, string(info), size)
	if err != nil {
		return nil
	}
	return key
}

// record decrypts one record and returns its content if it is of the handshake.
func (o *opener) record(body []byte) (content []byte, ok bool) {
	nonce := bytes.Clone(o.iv)
	var sequence [8]byte
	binary.BigEndian.PutUint64(sequence[:], o.sequence)
	for i, b := range sequence {
		nonce[len(nonce)-8+i] ^= b
	}
	header := binary.BigEndian.AppendUint16([]byte{recordApplication, 3, 3}, uint16(len(body)))
	o.sequence++
	inner, err := o.aead.Open(nil, nonce, body, header)
	if err != nil {
		return nil, false
	}
	inner = bytes.TrimRight(inner, "\x00")
	if len(inner) == 0 || inner[len(inner)-1] != recordHandshake {
		return nil, true
	}
	return inner[:len(inner)-1], true
}
