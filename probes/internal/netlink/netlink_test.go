package netlink_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/netlink"
)

// links asks for all network interfaces.
func links() probes.NetlinkRequest {
	return probes.NetlinkRequest{
		Protocol: unix.NETLINK_ROUTE, Type: unix.RTM_GETLINK, Payload: make([]byte, unix.SizeofIfInfomsg),
	}
}

// listeners asks for the listening TCP sockets: struct inet_diag_req_v2 of
// linux/inet_diag.h.
func listeners() probes.NetlinkRequest {
	payload := make([]byte, 56)
	payload[0], payload[1] = unix.AF_INET, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(payload[4:], 1<<10) // TCP_LISTEN
	return probes.NetlinkRequest{Protocol: unix.NETLINK_SOCK_DIAG, Type: unix.SOCK_DIAG_BY_FAMILY, Payload: payload}
}

func TestTheKernelKnowsTheLoopback(t *testing.T) {
	t.Parallel()
	found := 0
	err := netlink.Kernel{}.Dump(t.Context(), links(), func(m probes.NetlinkMessage) error {
		if m.Type != unix.RTM_NEWLINK {
			t.Errorf("a message of type %d", m.Type)
		}
		if bytes.Contains(m.Payload, []byte("lo\x00")) {
			found++
		}
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("Dump = %v; the loopback was found %d times", err, found)
	}
}

func TestTheKernelKnowsAListenerOfOurs(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			found := 0
			err := netlink.Kernel{}.Dump(t.Context(), listeners(), func(m probes.NetlinkMessage) error {
				// struct inet_diag_msg: four bytes, then the port and three fields on, the address.
				if binary.BigEndian.Uint16(m.Payload[4:]) == port && bytes.Equal(m.Payload[8:12], []byte{127, 0, 0, 1}) {
					found++
				}
				return nil
			})
			if err != nil || found != 1 {
				t.Errorf("Dump = %v; the listener was found %d times", err, found)
			}
		})
	}
	group.Wait()
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	unknown := links()
	unknown.Type = 0xfffe
	own := errors.New("enough")
	elsewhere := links()
	file, err := os.Open("netlink.go")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	elsewhere.Namespace = file
	for _, test := range []struct {
		name    string
		ctx     context.Context
		request probes.NetlinkRequest
		want    error
		reason  probes.Reason
	}{
		{"a protocol that does not exist is unsupported", t.Context(), probes.NetlinkRequest{Protocol: 200}, unix.EPROTONOSUPPORT, probes.Other},
		{"the kernel's refusal is its error", t.Context(), unknown, unix.EOPNOTSUPP, probes.Unsupported},
		{"what is no namespace cannot be entered", t.Context(), elsewhere, unix.EINVAL, probes.Other},
		{"a cancelled dump ends", cancelled, links(), context.Canceled, probes.Other},
		{"a dump obeys its deadline", late, links(), context.DeadlineExceeded, probes.Timeout},
		{"the caller's error ends the dump", t.Context(), links(), own, probes.Other},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			err := netlink.Kernel{}.Dump(test.ctx, test.request, func(probes.NetlinkMessage) error { calls++; return own })
			if !errors.Is(err, test.want) || probes.ReasonOf(err) != test.reason || calls > 1 {
				t.Errorf("Dump = %v of reason %s, %d calls; want %v, %s", err, probes.ReasonOf(err), calls, test.want, test.reason)
			}
		})
	}
}

func BenchmarkListeners(b *testing.B) {
	for b.Loop() {
		if err := (netlink.Kernel{}).Dump(b.Context(), listeners(), func(probes.NetlinkMessage) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
