package endpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"hygiene_exporter/probes"
)

// postgres is the dialogue of the protocol of PostgreSQL, version 3, section
// "SSL Session Encryption". The server answers with one byte.
func postgres(c *conversation) error {
	if err := c.send("\x00\x00\x00\x08\x04\xd2\x16\x2f"); err != nil {
		return err
	}
	answer, err := c.bytes(1)
	if err != nil {
		return err
	}
	switch answer[0] {
	case 'S':
		return nil
	case 'N':
		return refused(probes.Unsupported, "N")
	case 'E': // an error message follows, such as that there are too many clients
		return refused(probes.Unavailable, "E")
	}
	return strange(string(answer))
}

// The capabilities of a server and a client of MySQL, section
// "Capabilities Flags" of its protocol.
const (
	mysqlProtocol41 = 1 << 9
	mysqlSSL        = 1 << 11
	mysqlSecure     = 1 << 15
	mysqlOurs       = mysqlProtocol41 | mysqlSSL | mysqlSecure
)

// mysqlMaxPacket bounds what a server says first.
const mysqlMaxPacket = 4 << 10

// mysql is the dialogue of the protocol of MySQL and MariaDB, section
// "Connection Phase".
func mysql(c *conversation) error {
	greeting, err := c.mysqlPacket()
	if err != nil {
		return err
	}
	capabilities, err := mysqlGreeting(greeting)
	if err != nil {
		return err
	}
	if capabilities&mysqlSSL == 0 {
		return refused(probes.Unsupported, "it does not offer SSL")
	}
	return c.mysqlSend(1, mysqlLogin())
}

// mysqlPacket reads one packet: three bytes of length, the lowest first, and one
// of sequence.
func (c *conversation) mysqlPacket() ([]byte, error) {
	head, err := c.bytes(4)
	if err != nil {
		return nil, err
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size == 0 || size > mysqlMaxPacket {
		return nil, strange(string(head))
	}
	return c.bytes(size)
}

func (c *conversation) mysqlSend(sequence byte, packet []byte) error {
	n := len(packet)
	return c.send(string([]byte{byte(n), byte(n >> 8), byte(n >> 16), sequence}) + string(packet))
}

// mysqlGreeting reads the capabilities out of the first packet of a server.
func mysqlGreeting(packet []byte) (uint16, error) {
	switch packet[0] {
	case 0xff:
		return 0, mysqlError(packet)
	case 10:
	default:
		return 0, probes.Because(probes.Unsupported, fmt.Errorf("version %d of the protocol", packet[0]))
	}
	_, rest, found := bytes.Cut(packet[1:], []byte{0}) // the version of the server
	const threadSaltFiller = 4 + 8 + 1
	if !found || len(rest) < threadSaltFiller+2 {
		return 0, strange(string(packet))
	}
	return binary.LittleEndian.Uint16(rest[threadSaltFiller:]), nil
}

// mysqlError reads an error that comes instead of a greeting: that there are too
// many connections, or that this host may not connect.
func mysqlError(packet []byte) error {
	if len(packet) < 3 {
		return strange(string(packet))
	}
	const hostBlocked, hostNotPrivileged = 1129, 1130
	code := binary.LittleEndian.Uint16(packet[1:])
	text := strings.ToValidUTF8(string(packet[3:]), "?")
	if code == hostBlocked || code == hostNotPrivileged {
		return refused(probes.PermissionDenied, text)
	}
	return refused(probes.Unavailable, text)
}

// mysqlLogin is the request for SSL, and the beginning of a login: capabilities,
// size of packets, character set (utf8mb4) and room.
func mysqlLogin() []byte {
	packet := binary.LittleEndian.AppendUint32(nil, mysqlOurs)
	packet = binary.LittleEndian.AppendUint32(packet, 1<<24-1)
	return append(packet, append([]byte{45}, make([]byte, 23)...)...)
}

// mysqlEnd lets a login fail. A server counts connections that break off before
// that against the host they come from, and blocks it after a hundred
// (max_connect_errors).
func mysqlEnd(c *conversation) error {
	login := append(mysqlLogin(), 0, 0) // no user, no password
	if err := c.mysqlSend(2, login); err != nil {
		return err
	}
	_, err := c.mysqlPacket()
	return err
}
