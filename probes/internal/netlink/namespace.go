package netlink

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// dialIn opens a socket in a network namespace. A socket stays where it was
// made, so a thread has to be there for a moment only.
func dialIn(namespace *os.File, protocol int) (*conn, error) {
	if namespace == nil {
		return dial(protocol)
	}
	var (
		c    *conn
		err  error
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		c, err = visit(namespace, protocol)
	}()
	<-done
	return c, err
}

// visit makes a socket in another namespace. A thread that does not find its
// way back stays locked and ends with its goroutine, so that no other one ever
// runs there.
func visit(namespace *os.File, protocol int) (*conn, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer home.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, os.NewSyscallError("setns", err)
	}
	c, err := dial(protocol)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		if c != nil {
			back = errors.Join(back, c.file.Close())
		}
		return nil, errors.Join(err, os.NewSyscallError("setns", back))
	}
	runtime.UnlockOSThread()
	return c, err
}
