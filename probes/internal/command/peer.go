package command

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

// peerCheck returns a function that refuses the clients of a socket that may
// not ask.
func peerCheck(socket string) func(net.Conn) error {
	return func(conn net.Conn) error {
		peer, err := credentials(conn)
		if err != nil {
			return err
		}
		var stat *syscall.Stat_t
		if info, err := os.Stat(socket); err == nil {
			stat, _ = info.Sys().(*syscall.Stat_t)
		}
		if !allowed(peer, os.Geteuid(), stat) {
			return probes.Because(probes.PermissionDenied, fmt.Errorf("user %d may not ask the root helper", peer.Uid))
		}
		return nil
	}
}

// allowed reports whether a client may ask. Root and the helper's own user may.
// Beyond that the permissions of the socket are the list: the kernel lets only
// those connect who may write to it, usually the owner and the members of the
// group of the agent. A socket that everybody may write to is taken as a
// mistake: there the owner may ask, and whoever has its group as the primary
// one. A socket without permissions (stat is nil) gives nobody a right.
func allowed(peer *unix.Ucred, self int, stat *syscall.Stat_t) bool {
	switch {
	case peer.Uid == 0 || int64(peer.Uid) == int64(self):
		return true
	case stat == nil:
		return false
	case stat.Mode&unix.S_IWOTH == 0:
		return true
	}
	return peer.Uid == stat.Uid || peer.Gid == stat.Gid
}

// credentials returns who was at the other end when it connected; see
// SO_PEERCRED in unix(7).
func credentials(conn net.Conn) (*unix.Ucred, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("a client of the type %T has no credentials", conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var (
		peer   *unix.Ucred
		failed error
	)
	err = raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return peer, errors.Join(err, failed)
}
