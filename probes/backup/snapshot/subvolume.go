package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// A subvolume is what the kernel says of one, for everybody who may open its
// directory.
type subvolume struct {
	ID         [16]byte // uuid
	Parent     [16]byte // of what it is a snapshot of; zero: of nothing
	Received   [16]byte // of what was sent, once it was received to its end
	Generation uint64   // of its last change
	ReadOnly   bool
	Made       time.Time
}

const (
	// getSubvolume is BTRFS_IOC_GET_SUBVOL_INFO of linux/btrfs.h, since Linux 4.18.
	getSubvolume = 0x81f8943c
	// getSystem is BTRFS_IOC_FS_INFO.
	getSystem = 0x8400941f
	// rootInode is the number of the directory of every subvolume.
	rootInode = 256
	readOnly  = 1 // BTRFS_ROOT_SUBVOL_RDONLY
)

// subvolumeSize is that of struct btrfs_ioctl_get_subvol_info_args.
const subvolumeSize = 504

// parseSubvolume reads struct btrfs_ioctl_get_subvol_info_args of linux/btrfs.h,
// in the order of bytes of this host.
func parseSubvolume(data []byte) (subvolume, error) {
	if len(data) < subvolumeSize {
		return subvolume{}, probes.Because(probes.Malformed, fmt.Errorf("the kernel told %d bytes of a subvolume", len(data)))
	}
	number := func(at int) uint64 { return binary.NativeEndian.Uint64(data[at:]) }
	s := subvolume{
		Generation: number(344), // ctransid, of the last change of anything in it
		ReadOnly:   number(288)&readOnly != 0,
		Made:       time.Unix(int64(number(392)), int64(binary.NativeEndian.Uint32(data[400:]))),
	}
	copy(s.ID[:], data[296:])
	copy(s.Parent[:], data[312:])
	copy(s.Received[:], data[328:])
	return s, nil
}

// ask fills data with what an ioctl tells of an open directory.
func ask(file *os.File, request uintptr, data []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), request, uintptr(unsafe.Pointer(&data[0])))
	switch errno {
	case 0:
		return nil
	case unix.ENOTTY:
		return probes.Because(probes.Unsupported, errors.New("it is on no btrfs, or the kernel is older than 4.18"))
	}
	return errno
}

// subvolumeAt returns what a directory is; nil if it is no subvolume.
func subvolumeAt(files *rootfs.FS, path string) (*subvolume, error) {
	info, err := files.Lstat(path)
	if err != nil {
		return nil, err
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	if !is || !info.IsDir() || stat.Ino != rootInode {
		return nil, nil
	}
	file, err := files.OpenDir(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := make([]byte, subvolumeSize)
	if err := ask(file, getSubvolume, data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := parseSubvolume(data)
	return &s, err
}

// systemOf returns the UUID of the btrfs that a directory is on.
func systemOf(files *rootfs.FS, path string) (string, error) {
	file, err := files.OpenDir(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data := make([]byte, 1024) // struct btrfs_ioctl_fs_info_args
	if err := ask(file, getSystem, data); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	id := hex.EncodeToString(data[16:32])
	return fmt.Sprintf("%s-%s-%s-%s-%s", id[:8], id[8:12], id[12:16], id[16:20], id[20:]), nil
}

// unfinished says why a subvolume is no finished state of the data; empty if it
// is. "btrfs receive" notes what it has received, and takes the right to write
// away, when all has arrived.
func (s *subvolume) unfinished() string {
	var none [16]byte
	switch {
	case s.ReadOnly:
		return ""
	case !bytes.Equal(s.Received[:], none[:]):
		return "it was received, and can be written since"
	case !bytes.Equal(s.Parent[:], none[:]):
		return "it can be written: a working copy, or a transfer that did not end"
	}
	return "it can be written, and is a snapshot of nothing: a transfer that did not end, or no snapshot"
}
