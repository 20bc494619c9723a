package probes

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"

	"hygiene_exporter/probes/internal/rootfs"
)

// A Fault is an object that should have been inspected and could not be.
type Fault struct {
	Object string
	Reason Reason
	Err    error
}

// A Reason says why something could not be judged. The set is closed and is
// part of the metric contract.
type Reason string

// The reasons of faults and of verdicts.
const (
	NotFound         Reason = "not_found"
	PermissionDenied Reason = "permission_denied"
	Auth             Reason = "auth"
	Locked           Reason = "locked"
	Timeout          Reason = "timeout"
	Malformed        Reason = "malformed"
	Unsupported      Reason = "unsupported"
	TooLarge         Reason = "too_large"
	Unavailable      Reason = "unavailable"
	Network          Reason = "network"
	NotRun           Reason = "not_run"
	Other            Reason = "other"
)

// Reasons lists the closed set, in the order of the reference.
func Reasons() []Reason {
	return []Reason{
		NotFound, PermissionDenied, Auth, Locked, Timeout, Malformed,
		Unsupported, TooLarge, Unavailable, Network, NotRun, Other,
	}
}

// Because gives err a reason that could not be derived from it. A nil err stays
// nil.
func Because(reason Reason, err error) error {
	if err == nil {
		return nil
	}
	return &reasonError{reason: reason, err: err}
}

type reasonError struct {
	reason Reason
	err    error
}

func (e *reasonError) Error() string { return e.err.Error() }
func (e *reasonError) Unwrap() error { return e.err }

// ReasonOf derives the reason from an error: the one that Because gave it, or
// what the operating system's error means, or Other.
func ReasonOf(err error) Reason {
	var (
		given   *reasonError
		timeout interface{ Timeout() bool }
		network *net.OpError
		dns     *net.DNSError
	)
	switch {
	case errors.As(err, &given):
		return given.reason
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.Is(err, fs.ErrPermission):
		return PermissionDenied
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.As(err, &network), errors.As(err, &dns):
		return Network
	case errors.Is(err, rootfs.ErrTooLarge):
		return TooLarge
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, rootfs.ErrNotRegular):
		return Unsupported
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.EBUSY),
		errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN):
		return Unavailable
	}
	return Other
}
