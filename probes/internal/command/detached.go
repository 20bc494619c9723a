package command

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// A Companion is a program that lives on when whoever started it dies.
type Companion struct {
	In  io.WriteCloser // its input, which ends with whoever started it
	Out io.ReadCloser  // its output
}

// Detached starts this very program again with other arguments, in a session of
// its own, and does not wait for it. What it says of errors goes to complaints.
func Detached(args []string, complaints *os.File) (Companion, error) {
	in, to, err := os.Pipe()
	if err != nil {
		return Companion{}, err
	}
	from, out, err := os.Pipe()
	if err != nil {
		return Companion{}, errors.Join(err, in.Close(), to.Close())
	}
	cmd := exec.Command("/proc/self/exe", args...) //nolint:noctx // nobody's end is its own
	cmd.Args[0] = os.Args[0]
	cmd.Env, cmd.Dir = environment(), "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	err = errors.Join(err, in.Close(), out.Close())
	if err != nil {
		return Companion{}, errors.Join(err, to.Close(), from.Close())
	}
	go func() { _ = cmd.Wait() }() // how it ended, it has said
	return Companion{In: to, Out: from}, nil
}
