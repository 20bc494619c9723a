// Package devmapper asks the kernel's device mapper what its devices are made
// of and how they are, over the ioctls of linux/dm-ioctl.h. It changes nothing,
// and flushes nothing to learn it.
package devmapper

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// The layout of struct dm_ioctl, and of struct dm_target_spec.
const (
	headerSize = 312
	atSize     = 12
	atStart    = 16
	atCount    = 20
	atFlags    = 28
	atName     = 48
	nameSize   = 128
	specSize   = 40

	control    = "/dev/mapper/control"
	firstData  = 16 << 10
	maxData    = 16 << 20
	bufferFull = 1 << 8 // DM_BUFFER_FULL_FLAG
	noFlush    = 1 << 11
)

// The numbers of the ioctls: _IOWR(0xfd, n, struct dm_ioctl).
const (
	tableStatus = 3<<30 | headerSize<<16 | 0xfd<<8 | 12
)

// Kernel is the device mapper of this kernel.
type Kernel struct{}

var _ probes.DeviceMapper = Kernel{}

// Status implements probes.DeviceMapper.
func (Kernel) Status(ctx context.Context, name string) ([]probes.MappedTarget, error) {
	if len(name) >= nameSize || name == "" {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("%.40q is no name of a mapped device", name))
	}
	data, err := call(ctx, tableStatus, name)
	if err != nil {
		return nil, fmt.Errorf("device mapper, %s: %w", name, err)
	}
	return parseTargets(data)
}

// call makes one request and returns the answer, header included.
func call(ctx context.Context, request uintptr, name string) ([]byte, error) {
	// Opening is not blocking, and so is asking without a flush.
	file, err := os.OpenFile(control, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for size := firstData; size <= maxData; size *= 4 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data := header(size, name)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), request, uintptr(unsafe.Pointer(&data[0])))
		switch {
		case errno != 0:
			return nil, errno
		case binary.NativeEndian.Uint32(data[atFlags:])&bufferFull == 0:
			return data, nil
		}
	}
	return nil, rootfs.ErrTooLarge
}

// header returns a request in a buffer of this size.
func header(size int, name string) []byte {
	data := make([]byte, size)
	binary.NativeEndian.PutUint32(data, 4) // version 4.0.0, which all kernels since 2.6 understand
	binary.NativeEndian.PutUint32(data[atSize:], uint32(size))
	binary.NativeEndian.PutUint32(data[atStart:], headerSize)
	binary.NativeEndian.PutUint32(data[atFlags:], noFlush)
	copy(data[atName:], name)
	return data
}

var errMalformed = probes.Because(probes.Malformed, errors.New("malformed answer of the device mapper"))

// parseTargets reads the answer of a table status.
func parseTargets(data []byte) ([]probes.MappedTarget, error) {
	if len(data) < headerSize {
		return nil, errMalformed
	}
	start := binary.NativeEndian.Uint32(data[atStart:])
	count := binary.NativeEndian.Uint32(data[atCount:])
	if int64(start) > int64(len(data)) {
		return nil, errMalformed
	}
	data = data[start:]
	var targets []probes.MappedTarget
	at := 0
	for range count {
		if at < 0 || len(data)-at < specSize {
			return nil, errMalformed
		}
		spec := data[at:]
		next := int(binary.NativeEndian.Uint32(spec[20:]))
		if next <= at+specSize || next > len(data) {
			return nil, errMalformed
		}
		targets = append(targets, probes.MappedTarget{
			Type:   text(spec[24:specSize]),
			Status: text(data[at+specSize : next]),
		})
		at = next
	}
	return targets, nil
}

func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
