package endpoint

import (
	"bytes"
	"io"
	"testing"

	"hygiene_exporter/probes"
)

// A recording is a server that says the same to everybody, and counts what was
// taken of it.
type recording struct {
	words io.Reader
	taken int
}

// Read implements io.Reader.
func (r *recording) Read(p []byte) (int, error) {
	n, err := r.words.Read(p)
	r.taken += n
	return n, err
}

// Write implements io.Writer.
func (r *recording) Write(p []byte) (int, error) { return len(p), nil }

// FuzzDialogues says of every dialogue: it ends, takes a bounded number of bytes,
// fails with a reason of its own, and agrees to TLS only when nothing is left
// unread in clear text.
func FuzzDialogues(f *testing.F) {
	names := Protocols()
	for n, name := range names {
		var said []byte
		for turn, step := range good()[name] {
			if turn%2 == 0 {
				said = append(said, step...)
			}
		}
		f.Add(n, said)
		f.Add(n, bytes.Repeat(said, 50))
	}
	f.Add(5, []byte("\"A\" {5}\r\nxxxxx {3}\r\nyyy\r\nOK\r\n"))
	f.Fuzz(func(t *testing.T, n int, said []byte) {
		name := names[uint(n)%uint(len(names))]
		p, _ := protocolOf(name)
		server := &recording{words: bytes.NewReader(said)}
		c := newConversation(server, "server.test")
		err := c.hold(p.begin)
		if server.taken > maxSpoken {
			t.Fatalf("%s took %d bytes", name, server.taken)
		}
		if err != nil {
			if reason := reasonOf(err); reason == probes.Other {
				t.Fatalf("%s: %v has no reason", name, err)
			}
			return
		}
		if c.in.Buffered() > 0 {
			t.Fatalf("%s left %d bytes unread", name, c.in.Buffered())
		}
	})
}

// FuzzMySQLFarewell says that the last word of MySQL is bounded too.
func FuzzMySQLFarewell(f *testing.F) {
	f.Add([]byte("\x17\x00\x00\x03\xff\x15\x04#28000Access denied"))
	f.Fuzz(func(t *testing.T, said []byte) {
		server := &recording{words: bytes.NewReader(said)}
		_ = mysqlEnd(newConversation(server, ""))
		if server.taken > maxSpoken {
			t.Fatalf("took %d bytes", server.taken)
		}
	})
}

// FuzzHeardCertificates says that whatever was heard, the certificates are parts
// of it when nothing was encrypted, and no more than was heard.
func FuzzHeardCertificates(f *testing.F) {
	f.Add([]byte("\x16\x03\x03\x00\x0f\x0b\x00\x00\x0b\x00\x00\x08\x00\x00\x05hello"), []byte(nil))
	f.Add([]byte("\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x0301234567890123456789012345678901\x00\x13\x03\x00\x00\x00\x17\x03\x03\x00\x12012345678901234567"), []byte("01234567890123456789012345678901"))
	f.Fuzz(func(t *testing.T, heard, secret []byte) {
		total := 0
		for _, der := range heardCertificates(heard, secret) {
			total += len(der)
			read(der)
		}
		if total > len(heard) {
			t.Fatalf("%d bytes of certificates in %d bytes", total, len(heard))
		}
	})
}
