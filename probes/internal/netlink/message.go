package netlink

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

var native = binary.NativeEndian

// errMalformed says that the kernel's answer is none.
var errMalformed = probes.Because(probes.Malformed, fmt.Errorf("malformed answer"))

// encode returns a request for a dump: struct nlmsghdr of linux/netlink.h and
// the payload.
func encode(request probes.NetlinkRequest, sequence, port uint32) []byte {
	size := unix.NLMSG_HDRLEN + len(request.Payload)
	b := make([]byte, 0, align(size))
	b = native.AppendUint32(b, uint32(size))
	b = native.AppendUint16(b, request.Type)
	b = native.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = native.AppendUint32(b, sequence)
	b = native.AppendUint32(b, port)
	b = append(b, request.Payload...)
	return b[:align(size)]
}

func align(size int) int {
	return (size + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1)
}

// A dump collects the messages that answer one request.
type dump struct {
	sequence, port uint32

	messages    []probes.NetlinkMessage
	interrupted bool
	done        bool // the end of the dump was seen
}

// add takes the messages of a datagram, which it keeps. Messages that answer
// another request are passed over.
func (d *dump) add(datagram []byte) error {
	for len(datagram) > 0 && !d.done {
		if len(datagram) < unix.NLMSG_HDRLEN {
			return fmt.Errorf("%w: %d bytes are no header", errMalformed, len(datagram))
		}
		size := native.Uint32(datagram)
		if size < unix.NLMSG_HDRLEN || int64(size) > int64(len(datagram)) {
			return fmt.Errorf("%w: a message of %d bytes in %d", errMalformed, size, len(datagram))
		}
		header, payload := datagram[:unix.NLMSG_HDRLEN], datagram[unix.NLMSG_HDRLEN:size:size]
		datagram = datagram[min(align(int(size)), len(datagram)):]
		if native.Uint32(header[8:]) != d.sequence || native.Uint32(header[12:]) != d.port {
			continue
		}
		if err := d.message(native.Uint16(header[4:]), native.Uint16(header[6:]), payload); err != nil {
			return err
		}
	}
	return nil
}

func (d *dump) message(kind, flags uint16, payload []byte) error {
	d.interrupted = d.interrupted || flags&unix.NLM_F_DUMP_INTR != 0
	switch kind {
	case unix.NLMSG_NOOP:
		return nil
	case unix.NLMSG_OVERRUN:
		return unix.ENOBUFS
	case unix.NLMSG_ERROR, unix.NLMSG_DONE:
		// Both begin with 0 or a negative error number; old kernels end a dump
		// without one.
		d.done = true
		if len(payload) < 4 {
			if kind == unix.NLMSG_DONE {
				return nil
			}
			return fmt.Errorf("%w: an error without a number", errMalformed)
		}
		if code := int32(native.Uint32(payload)); code < 0 {
			return syscall.Errno(-code)
		}
		return nil
	}
	d.messages = append(d.messages, probes.NetlinkMessage{Type: kind, Payload: payload})
	return nil
}
