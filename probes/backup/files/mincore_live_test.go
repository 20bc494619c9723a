//go:build live

package files_test

import "unsafe"

// addr is where a slice begins, for a call of the kernel that the library does
// not know.
func addr(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
