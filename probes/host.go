package probes

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// A Host is all that a probe may touch of the world, so that a test can supply
// another one.
type Host struct {
	Files *rootfs.FS
	// Credentials are what systemd passed to the agent with LoadCredential=, by
	// name below /; nil when it passed nothing.
	Credentials *rootfs.FS

	Commands Commands
	Pipes    Pipes
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Netlink  Netlink
	Mapper   DeviceMapper
	State    State
	Events   Events
	Work     Work
	Scratch  string // directory for what a probe makes for a moment, such as a test restore; empty: none
	Log      *slog.Logger
}

// Work says when a probe does what is too slow or too expensive for every run.
type Work uint8

// The ways to do slow work.
const (
	Scheduled Work = iota // between the runs, as it falls due
	Never                 // not at all: somebody looks once, in a hurry
	AtOnce                // all of it, before Run returns: somebody looks once, and waits
)

// Commands runs the programs that a Spec declares.
type Commands interface {
	// Run runs the declared command with these objects and returns what it
	// printed. A program that ran and exited with another status than 0 is no
	// error: tools use the status to tell things apart. A program that is not
	// installed, not permitted, killed or too talkative is one.
	Run(ctx context.Context, entry string, objects ...string) (Output, error)
}

// Pipes runs those of the declared programs that move much data.
type Pipes interface {
	// Pipe is like Commands.Run for a program that moves much data: it reads in, which
	// may be nil, and what it prints goes to out as it comes, without a cap.
	// It runs with the lowest priority and never through the root helper.
	// Without an out it runs as with Run, and reads in, such as a password.
	Pipe(ctx context.Context, in io.Reader, out io.Writer, entry string, objects ...string) (Output, error)
}

// An Output is what a command left behind.
type Output struct {
	Stdout   []byte
	Stderr   []byte
	ExitCode int
	// Truncated says that stdout went on beyond the cap and was cut.
	Truncated bool
}

// Netlink asks the kernel for a dump over a netlink socket.
type Netlink interface {
	// Dump sends one request with the flags of a dump and calls each for every
	// message of the answer, in order. The payload is valid during the call
	// only.
	Dump(ctx context.Context, request NetlinkRequest, each func(NetlinkMessage) error) error
}

// A NetlinkRequest asks one netlink protocol for a dump.
type NetlinkRequest struct {
	Protocol int    // such as NETLINK_SOCK_DIAG
	Type     uint16 // message type
	Payload  []byte

	// Namespace is the network namespace that is asked, such as an open
	// /proc/<pid>/ns/net; nil means that of the agent. Entering another one
	// needs CAP_SYS_ADMIN.
	Namespace *os.File
}

// A NetlinkMessage is one message of the answer, without its header.
type NetlinkMessage struct {
	Type    uint16
	Payload []byte
}

// DeviceMapper asks the kernel's device mapper about one device.
type DeviceMapper interface {
	// Status returns how the targets of a device are, in order. It needs the
	// right to open /dev/mapper/control.
	Status(ctx context.Context, name string) ([]MappedTarget, error)
}

// A MappedTarget is one line of the table of a mapped device.
type MappedTarget struct {
	Type   string // such as multipath
	Status string // in the words of the target
}

// A State is a probe's own durable memory. One file on disk holds it; a probe
// never sees the state of another.
type State interface {
	// Load decodes the saved value into v and reports whether there was one. A
	// value of another version is not decoded: it is as if there were none.
	Load(version int, v any) (bool, error)
	// Save replaces the saved value, atomically and durably.
	Save(version int, v any) error
}

// An Event is something that one probe saw and another may use, such as a
// failover that counts for a drill.
type Event struct {
	Kind   string            `json:"kind"` // such as "failover"
	Object string            `json:"object"`
	At     time.Time         `json:"at"`
	Detail map[string]string `json:"detail,omitempty"`
}

// Events is the persisted event log between probes. It is bounded: the oldest
// events of a kind go first.
type Events interface {
	Observe(event Event) error
	// Observed returns the events of a kind, oldest first.
	Observed(kind string) []Event
}
