// Package idle makes slow work give way to everything else on the host.
package idle

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	niceness    = 10
	whoProcess  = 1       // IOPRIO_WHO_PROCESS of ioprio_set(2)
	idleIOClass = 3 << 13 // IOPRIO_CLASS_IDLE
)

// Lower gives a process, and what it will start, the lowest priority for the
// disk and a low one for the processor. Where that is not allowed it changes
// nothing: the work is done all the same.
func Lower(pid int) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, niceness)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(pid), idleIOClass)
}

// Do runs a function on a thread of its own with the lowest priority, and
// returns when it has ended. The thread ends with it.
func Do(work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread must not serve anybody else
		Lower(unix.Gettid())
		work()
	}()
	<-done
}

// Forget tells the kernel that what was read of a file is not needed again, so
// that reading a backup does not push out what the host works with; and that
// the next reading is to come from the disk.
func Forget(file *os.File) {
	_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
}
