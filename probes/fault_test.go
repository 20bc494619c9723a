package probes_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

func TestReasonsAreDerivedFromWhatTheSystemSaid(t *testing.T) {
	files := rootfs.New(rootfs.Paths{Root: t.TempDir()})
	_, missing := files.ReadFile("/none", 10)
	_, directory := files.ReadFile("/", 10)
	_, refused := net.DialTimeout("unix", filepath.Join(t.TempDir(), "none"), time.Second)
	for name, c := range map[string]struct {
		err  error
		want probes.Reason
	}{
		"a reason that was given wins":             {probes.Because(probes.Auth, fs.ErrNotExist), probes.Auth},
		"a given reason survives wrapping":         {fmt.Errorf("x: %w", probes.Because(probes.Locked, errors.New("y"))), probes.Locked},
		"a context whose time is over":             {context.DeadlineExceeded, probes.Timeout},
		"a deadline of a file or connection":       {os.ErrDeadlineExceeded, probes.Timeout},
		"no permission":                            {&fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, probes.PermissionDenied},
		"a missing file":                           {missing, probes.NotFound},
		"a directory where a file should be":       {directory, probes.Unsupported},
		"a file beyond the limit":                  {fmt.Errorf("read: %w", rootfs.ErrTooLarge), probes.TooLarge},
		"an error of input and output":             {&fs.PathError{Op: "read", Path: "/x", Err: syscall.EIO}, probes.Unavailable},
		"a network error":                          {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, probes.Network},
		"a missing socket is a missing file":       {refused, probes.NotFound},
		"a name that cannot be resolved":           {&net.DNSError{Err: "no such host", Name: "x"}, probes.Network},
		"a resolver that does not answer":          {&net.DNSError{Err: "timeout", Name: "x", IsTimeout: true}, probes.Timeout},
		"something that the system cannot do":      {errors.ErrUnsupported, probes.Unsupported},
		"anything else":                            {errors.New("odd"), probes.Other},
		"of several errors, the first with a word": {errors.Join(errors.New("odd"), fs.ErrPermission), probes.PermissionDenied},
	} {
		got := probes.ReasonOf(c.err)
		if got != c.want {
			t.Errorf("%s: %v is %s, want %s", name, c.err, got, c.want)
		}
		if !slices.Contains(probes.Reasons(), got) {
			t.Errorf("%s: %s is not in the closed set", name, got)
		}
	}
	if probes.Because(probes.Auth, nil) != nil {
		t.Error("no error got a reason")
	}
}
