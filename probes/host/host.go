// Package host is the real world behind probes.Host: the file system of the
// inspected host, its programs, its kernel, the network, and what the agent
// remembers of them. Nothing here belongs to one probe, and no probe sees what
// belongs to another.
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/command"
	"hygiene_exporter/probes/internal/devmapper"
	"hygiene_exporter/probes/internal/eventlog"
	"hygiene_exporter/probes/internal/netlink"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/internal/statefile"
)

// DefaultHelperSocket is where the root helper listens.
const DefaultHelperSocket = "/run/hygiene_exporter/helper.sock"

// eventsName is the state file of the event log, and the name of no probe.
const eventsName = "events"

// Options describe the host and what the agent may do with it.
type Options struct {
	Root, Proc, Sys string              // where the host is mounted; empty: /, and proc and sys below Root
	StateDir        string              // empty: in memory
	HelperSocket    string              // empty: DefaultHelperSocket
	Wrappers        map[string][]string // what runs in place of a program, by its name
	Specs           []probes.Spec       // whose commands may be run
	Work            probes.Work         // when probes do slow work
	Log             *slog.Logger        // empty: nothing is logged
}

// Hosts makes the Host of each probe. It may be used concurrently.
type Hosts struct {
	files    *rootfs.FS
	commands *command.Broker
	store    *statefile.Store
	events   *eventlog.Log
	work     probes.Work
	scratch  string
	log      *slog.Logger
	problems []string // of opening the state
	stateErr error
}

// New opens the host and the state directory, which it creates if need be, and
// does nothing else. An error means that Specs or Wrappers are wrong; a
// complaint about a wrapper is made with probes.At. A state that cannot be used
// is no error: see StateError and Notices.
func New(o Options) (*Hosts, error) {
	files := rootfs.New(rootfs.Paths{Root: o.Root, Proc: o.Proc, Sys: o.Sys})
	broker, err := command.New(command.Options{
		Specs: o.Specs, Wrappers: o.Wrappers,
		Own: files.Own(), Root: os.Geteuid() == 0,
		Socket: cmp.Or(o.HelperSocket, DefaultHelperSocket), Read: files.ReadFile,
	})
	if err != nil {
		return nil, err
	}
	h := &Hosts{files: files, commands: broker, work: o.Work, scratch: os.TempDir(), log: o.Log}
	if o.StateDir != "" {
		h.scratch = filepath.Join(o.StateDir, "scratch") // the one place where a hardened service may write
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	machine, err := machineID(files)
	if err != nil {
		h.problems = append(h.problems, fmt.Sprintf("the state is not tied to this machine: %v", err))
	}
	h.store, h.stateErr = statefile.Open(statefile.Options{Dir: o.StateDir, MachineID: machine})
	h.events, err = eventlog.Open(h.store.File(eventsName), time.Now)
	if err != nil {
		h.problems = append(h.problems, fmt.Sprintf("events seen before this start are not known: %v", err))
	}
	return h, nil
}

// For returns all that one probe may touch. Two Hosts of the same name share
// their state.
func (h *Hosts) For(probe string) probes.Host {
	return probes.Host{
		Files: h.files, Credentials: credentials(),
		Commands: h.commands.For(probe),
		Pipes:    h.commands.Pipes(probe),
		Dial:     (&net.Dialer{}).DialContext,
		Netlink:  netlink.Kernel{},
		Mapper:   devmapper.Kernel{},
		State:    h.State(probe),
		Events:   h.events,
		Work:     h.work,
		Scratch:  h.scratch,
		Log:      h.log.With("probe", probe),
	}
}

// credentials are in a directory of the agent's own, which systemd.exec(5) names
// in its environment.
func credentials() *rootfs.FS {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil
	}
	return rootfs.New(rootfs.Paths{Root: dir})
}

// State returns the durable memory of a part of the agent that is no probe,
// such as "ledger". It must not have the name of one.
func (h *Hosts) State(name string) probes.State { return h.store.File(name) }

// Wrap replaces the wrappers, for a new configuration: see Options. With an
// error they are as before.
func (h *Hosts) Wrap(wrappers map[string][]string) error {
	return probes.At("commands", h.commands.Wrap(wrappers))
}

// WriteFailures counts the writes of state that failed since the start.
func (h *Hosts) WriteFailures() uint64 { return h.store.WriteFailures() }

// WriteFailing reports whether the disk is behind what the agent remembers,
// because the last write of some state failed.
func (h *Hosts) WriteFailing() bool { return h.store.Failing() }

// StateError is why the state directory cannot be used, so that everything is
// remembered in memory alone. Without a state directory it is nil.
func (h *Hosts) StateError() error { return h.stateErr }

// Notices says, in words for the log and the status page, what state was set
// aside or is in memory only.
func (h *Hosts) Notices() []string {
	return slices.Concat(h.problems, h.store.Notices())
}

// ServeHelper is the root helper: it runs the privileged commands of the specs
// for the clients of a unix socket until ctx is done. Root, the helper's own
// user and whoever the permissions of the socket let connect may ask, unless
// everybody could.
func ServeHelper(ctx context.Context, l net.Listener, specs []probes.Spec, log *slog.Logger) error {
	return command.Serve(ctx, l, specs, log)
}

// RunDirect runs a command line for a person on the command line, such as that
// of a drill. See command.Direct.
func RunDirect(ctx context.Context, argv []string) (probes.Output, error) {
	return command.Direct(ctx, argv)
}

// StartDetached starts this very program again, in a session of its own, for a
// command that must be outlived. See command.Detached.
func StartDetached(args []string, complaints *os.File) (io.WriteCloser, io.ReadCloser, error) {
	c, err := command.Detached(args, complaints)
	return c.In, c.Out, err
}

// idText matches what machine-id(5) allows. A host that has not booted for the
// first time says "uninitialized".
var idText = regexp.MustCompile(`^[0-9a-f]{32}$`)

// machineID reads /etc/machine-id. A host without one has none, which is empty.
func machineID(files *rootfs.FS) (string, error) {
	text, err := files.ReadFile("/etc/machine-id", 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if id := strings.TrimSpace(string(text)); idText.MatchString(id) {
		return id, nil
	}
	return "", err
}
