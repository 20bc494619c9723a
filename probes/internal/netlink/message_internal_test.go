package netlink

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

const (
	sequence = 7
	port     = 4711
)

// message encodes one message of an answer.
func message(kind, flags uint16, payload string) []byte {
	b := encode(probes.NetlinkRequest{Type: kind, Payload: []byte(payload)}, sequence, port)
	native.PutUint16(b[6:], flags)
	return b
}

// code is the payload of a message that carries an error number.
func code(errno syscall.Errno) string {
	return string(native.AppendUint32(nil, -uint32(errno)))
}

func others(b []byte, at int) []byte {
	native.PutUint32(b[at:], 99)
	return b
}

func TestDump(t *testing.T) {
	t.Parallel()
	a := probes.NetlinkMessage{Type: 20, Payload: []byte("a")}
	b := probes.NetlinkMessage{Type: 21, Payload: []byte("bcdefgh")}
	end := message(unix.NLMSG_DONE, 0, code(0))
	for _, test := range []struct {
		name     string
		datagram []byte
		want     dump
		err      error
		reason   probes.Reason
	}{
		{
			name:     "messages are taken in order and without their padding",
			datagram: slices.Concat(message(20, unix.NLM_F_MULTI, "a"), message(21, unix.NLM_F_MULTI, "bcdefgh"), end),
			want:     dump{messages: []probes.NetlinkMessage{a, b}, done: true},
		},
		{
			name:     "a datagram without an end leaves the dump open",
			datagram: message(20, unix.NLM_F_MULTI, "a"),
			want:     dump{messages: []probes.NetlinkMessage{a}},
		},
		{
			name:     "the last message needs no padding",
			datagram: message(20, unix.NLM_F_MULTI, "a")[:17],
			want:     dump{messages: []probes.NetlinkMessage{a}},
		},
		{
			name:     "an old kernel ends a dump without a number",
			datagram: message(unix.NLMSG_DONE, 0, ""),
			want:     dump{done: true},
		},
		{
			name:     "what follows the end is passed over",
			datagram: slices.Concat(end, message(20, 0, "a")),
			want:     dump{done: true},
		},
		{
			name:     "answers to other requests and for other sockets are passed over",
			datagram: slices.Concat(others(message(20, 0, "a"), 8), others(message(20, 0, "a"), 12), end),
			want:     dump{done: true},
		},
		{
			name:     "an empty message means nothing",
			datagram: slices.Concat(message(unix.NLMSG_NOOP, 0, ""), end),
			want:     dump{done: true},
		},
		{
			name:     "a dump that changed while it was made is marked",
			datagram: slices.Concat(message(20, unix.NLM_F_DUMP_INTR, "a"), end),
			want:     dump{messages: []probes.NetlinkMessage{a}, interrupted: true, done: true},
		},
		{
			name:     "a mark at the end counts too",
			datagram: message(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, code(0)),
			want:     dump{interrupted: true, done: true},
		},
		{
			name:     "an error is the operating system's",
			datagram: message(unix.NLMSG_ERROR, 0, code(unix.EPERM)),
			want:     dump{done: true}, err: fs.ErrPermission, reason: probes.PermissionDenied,
		},
		{
			name:     "a protocol that the kernel was built without is not found",
			datagram: message(unix.NLMSG_ERROR, 0, code(unix.ENOENT)),
			want:     dump{done: true}, err: fs.ErrNotExist, reason: probes.NotFound,
		},
		{
			name:     "a dump may fail at its end",
			datagram: slices.Concat(message(20, 0, "a"), message(unix.NLMSG_DONE, 0, code(unix.EOPNOTSUPP))),
			want:     dump{messages: []probes.NetlinkMessage{a}, done: true},
			err:      errors.ErrUnsupported, reason: probes.Unsupported,
		},
		{
			name:     "lost messages are an error",
			datagram: message(unix.NLMSG_OVERRUN, 0, ""),
			err:      unix.ENOBUFS, reason: probes.Other,
		},
		{
			name:     "an error without a number is malformed",
			datagram: message(unix.NLMSG_ERROR, 0, "ab"),
			want:     dump{done: true}, err: errMalformed, reason: probes.Malformed,
		},
		{
			name:     "half a header is malformed, and what came before is kept",
			datagram: append(message(20, 0, "a"), 1, 2, 3),
			want:     dump{messages: []probes.NetlinkMessage{a}},
			err:      errMalformed, reason: probes.Malformed,
		},
		{
			name:     "a message longer than its datagram is malformed",
			datagram: message(20, 0, "abcd")[:18],
			err:      errMalformed, reason: probes.Malformed,
		},
		{
			name:     "a message shorter than its header is malformed",
			datagram: others(message(20, 0, ""), 0)[:16],
			err:      errMalformed, reason: probes.Malformed,
		},
		{
			name:     "a message of no length does not go on for ever",
			datagram: make([]byte, 32),
			err:      errMalformed, reason: probes.Malformed,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.want.sequence, test.want.port = sequence, port
			got := dump{sequence: sequence, port: port}
			err := got.add(test.datagram)
			if !errors.Is(err, test.err) || err != nil && probes.ReasonOf(err) != test.reason {
				t.Errorf("error %v of reason %s; want %v, %s", err, probes.ReasonOf(err), test.err, test.reason)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(dump{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnInterruptedDumpIsRepeated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		interrupted int // times
		calls       int
		reason      probes.Reason
	}{
		{name: "a dump in one piece is taken at once", interrupted: 0, calls: 1},
		{name: "the first dump in one piece is taken", interrupted: 4, calls: 5},
		{name: "a dump that never comes in one piece is unavailable", interrupted: 100, calls: 5, reason: probes.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			got, err := consistent(func() ([]probes.NetlinkMessage, error) {
				if calls++; calls <= test.interrupted {
					return nil, errInterrupted
				}
				return []probes.NetlinkMessage{{Type: 20}}, nil
			})
			if calls != test.calls || (err == nil) != (len(got) == 1) || err != nil && probes.ReasonOf(err) != test.reason ||
				err == nil && test.reason != "" {
				t.Errorf("after %d calls: %v, %v; want %d calls, reason %q", calls, got, err, test.calls, test.reason)
			}
		})
	}
	if _, err := consistent(func() ([]probes.NetlinkMessage, error) { return nil, unix.EPERM }); !errors.Is(err, unix.EPERM) {
		t.Errorf("another error is %v; want it at once", err)
	}
}

// Whatever the kernel says: the messages fit into the datagram, and the dump
// ends only at its end or with an error.
func FuzzDump(f *testing.F) {
	f.Add(message(20, unix.NLM_F_MULTI, "a"))
	f.Add(slices.Concat(message(20, unix.NLM_F_MULTI, "abc"), message(unix.NLMSG_DONE, 0, code(0))))
	f.Add(message(unix.NLMSG_ERROR, 0, code(unix.EPERM)))
	f.Add(message(20, unix.NLM_F_DUMP_INTR, "")[:15])
	f.Fuzz(func(t *testing.T, datagram []byte) {
		d := dump{sequence: sequence, port: port}
		err := d.add(datagram)
		size := 0
		for _, m := range d.messages {
			if m.Type == unix.NLMSG_DONE || m.Type == unix.NLMSG_ERROR {
				t.Errorf("a message of type %d is passed on", m.Type)
			}
			size += unix.NLMSG_HDRLEN + len(m.Payload)
		}
		if size > len(datagram) {
			t.Errorf("messages of %d bytes in a datagram of %d", size, len(datagram))
		}
		if err == nil && !d.done && size == 0 && len(datagram) > 0 && native.Uint32(datagram[8:]) == sequence &&
			native.Uint32(datagram[12:]) == port && native.Uint16(datagram[4:]) > unix.NLMSG_OVERRUN {
			t.Error("the first message is lost")
		}
	})
}
