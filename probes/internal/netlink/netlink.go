// Package netlink asks the kernel for dumps. An answer is complete and
// consistent, or it is an error: no message is passed on before the whole dump
// has arrived, and a dump that the kernel calls interrupted is asked for again.
//
// The protocol is described in netlink(7) and in the kernel's
// Documentation/userspace-api/netlink/intro.rst.
package netlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

const (
	attempts   = 5        // at a dump that changes while it is read
	bufferSize = 32 << 10 // what the kernel fills in one go, unless one message is larger
	maxAnswer  = 64 << 20
)

// errInterrupted says that the dump changed while the kernel made it.
var errInterrupted = errors.New("the dump changed while it was made")

// Kernel is the kernel that the agent runs on. It answers for the network
// namespace that the agent lives in, unless a request names another one.
type Kernel struct{}

var _ probes.Netlink = Kernel{}

// Dump implements probes.Netlink. An error that each returns ends the dump and
// is returned as it is; the kernel's errors are those of the operating system.
func (Kernel) Dump(ctx context.Context, request probes.NetlinkRequest, each func(probes.NetlinkMessage) error) error {
	answer, err := consistent(func() ([]probes.NetlinkMessage, error) { return ask(ctx, request) })
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	for _, message := range answer {
		if err := each(message); err != nil {
			return err
		}
	}
	return nil
}

// consistent repeats a dump until it is made in one piece.
func consistent(dump func() ([]probes.NetlinkMessage, error)) ([]probes.NetlinkMessage, error) {
	for range attempts {
		answer, err := dump()
		if !errors.Is(err, errInterrupted) {
			return answer, err
		}
	}
	return nil, probes.Because(probes.Unavailable, fmt.Errorf("%w, %d times", errInterrupted, attempts))
}

// ask makes one attempt at a dump.
func ask(ctx context.Context, request probes.NetlinkRequest) ([]probes.NetlinkMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := dialIn(request.Namespace, request.Protocol)
	if err != nil {
		return nil, err
	}
	defer c.file.Close()
	// A deadline in the past wakes a receiver that waits.
	stop := context.AfterFunc(ctx, func() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	const sequence = 1 // of the only request on this socket
	if err := c.send(encode(request, sequence, c.port)); err != nil {
		return nil, err
	}
	d := dump{sequence: sequence, port: c.port}
	size := 0
	for !d.done {
		datagram, err := c.receive()
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if size += len(datagram); size > maxAnswer {
			return nil, fmt.Errorf("dump of protocol %d, type %d: %w", request.Protocol, request.Type, rootfs.ErrTooLarge)
		}
		if err := d.add(datagram); err != nil {
			return nil, err
		}
	}
	if d.interrupted {
		return nil, errInterrupted
	}
	return d.messages, nil
}

// A conn is a netlink socket, in the care of the runtime's poller.
type conn struct {
	file *os.File
	port uint32 // our address
}

func dial(protocol int) (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "netlink")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), file.Close())
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("getsockname", err), file.Close())
	}
	own, ok := name.(*unix.SockaddrNetlink)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the address of the socket is a %T", name), file.Close())
	}
	return &conn{file: file, port: own.Pid}, nil
}

func (c *conn) send(request []byte) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		failed = retried(func() error {
			return unix.Sendto(int(fd), request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		})
		return !errors.Is(failed, unix.EAGAIN)
	})
	return errors.Join(err, os.NewSyscallError("sendto", failed))
}

// receive returns one datagram of the kernel. It looks at the size first: a
// message that does not fit would be lost.
func (c *conn) receive() ([]byte, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	buffer := make([]byte, bufferSize)
	for {
		var (
			n, flags int
			from     unix.Sockaddr
			failed   error
		)
		err := raw.Read(func(fd uintptr) bool {
			failed = retried(func() (err error) {
				n, _, _, _, err = unix.Recvmsg(int(fd), buffer, nil, unix.MSG_PEEK|unix.MSG_TRUNC)
				if err == nil && n > len(buffer) {
					buffer = make([]byte, n)
				}
				if err == nil {
					n, _, flags, from, err = unix.Recvmsg(int(fd), buffer, nil, 0)
				}
				return err
			})
			return !errors.Is(failed, unix.EAGAIN)
		})
		if err = errors.Join(err, os.NewSyscallError("recvmsg", failed)); err != nil {
			return nil, err
		}
		if flags&unix.MSG_TRUNC != 0 {
			return nil, fmt.Errorf("%w: a datagram was truncated", errMalformed)
		}
		// Other processes can send to our address too; the kernel's is 0.
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
			return buffer[:n], nil
		}
	}
}

// retried repeats a system call that a signal interrupted.
func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
