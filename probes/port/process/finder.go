package process

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

const (
	recheck = time.Minute     // how long a process is believed to hold a socket
	retry   = 5 * time.Minute // after which a socket that nobody seems to hold is looked for again
)

// A Socket is what is looked for.
type Socket struct {
	Inode uint64
	// Near lists processes that probably hold it.
	Near func() []int
}

// A State says how far the search for a socket has come.
type State int

// The states of a search.
const (
	Pending State = iota // the time allowed was too short
	Found                // a process holds it
	Nobody               // all processes were looked at, and none holds it
	Hidden               // some processes could not be looked at
)

// A Finder remembers who holds which socket. It is used by one goroutine at a
// time.
type Finder struct {
	files *rootfs.FS
	known map[uint64]*holder
	next  int // the walk goes on with this process, downwards; 0 begins anew
	dark  bool
}

type holder struct {
	state   State
	process Process
	link    string    // the file descriptor
	at      time.Time // when this was last found to be so
}

// NewFinder returns a finder that knows nothing. It touches nothing.
func NewFinder(files *rootfs.FS) *Finder {
	return &Finder{files: files, known: map[uint64]*holder{}}
}

// Process returns who holds a socket, as of the last search.
func (f *Finder) Process(inode uint64) (Process, State) {
	h := f.known[inode]
	if h == nil {
		return Process{}, Pending
	}
	return h.process, h.state
}

// Find looks for the processes of all these sockets, and forgets all others. It
// returns soon after the budget is used up.
func (f *Finder) Find(ctx context.Context, sockets []Socket, budget time.Duration) {
	now := time.Now()
	ctx, cancel := context.WithDeadline(ctx, now.Add(budget))
	defer cancel()
	s := &search{Finder: f, now: now, missing: map[uint64]bool{}}
	known := make(map[uint64]*holder, len(sockets))
	var lost []Socket
	for _, socket := range sockets {
		if h := f.known[socket.Inode]; h != nil && s.still(ctx, socket.Inode, h) {
			known[socket.Inode] = h
		} else if socket.Inode > 0 {
			s.missing[socket.Inode] = true
			lost = append(lost, socket)
		}
	}
	f.known = known
	for _, socket := range lost {
		if s.missing[socket.Inode] && socket.Near != nil {
			near := socket.Near()
			slices.Sort(near) // the first is rather a master than a worker
			for _, pid := range near {
				s.look(ctx, pid)
			}
		}
	}
	if len(s.missing) > 0 {
		s.walk(ctx)
	} else {
		f.next = 0
	}
}

// A search is one call of Find.
type search struct {
	*Finder
	now     time.Time
	missing map[uint64]bool
	looked  map[int]bool
}

// still reports whether what is known of a socket can be believed.
func (s *search) still(ctx context.Context, inode uint64, h *holder) bool {
	age := s.now.Sub(h.at)
	if h.state != Found {
		return age < retry
	}
	if age < recheck || ctx.Err() != nil {
		return true
	}
	target, err := s.files.Readlink(h.link)
	if err != nil || target != name(inode) {
		return false
	}
	p, err := Look(s.files, h.process.PID)
	h.process, h.at = p, s.now
	return err == nil
}

func name(inode uint64) string { return "socket:[" + strconv.FormatUint(inode, 10) + "]" }

// walk looks at all processes, the youngest first, and goes on where the last
// one had to stop.
func (s *search) walk(ctx context.Context) {
	entries, err := s.files.ReadDir("/proc")
	if err != nil {
		s.dark = true
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.SortFunc(pids, func(a, b int) int { return cmp.Compare(b, a) })
	if s.next == 0 {
		s.dark = err != nil
	}
	for _, pid := range pids {
		if s.next > 0 && pid > s.next {
			continue
		}
		if len(s.missing) == 0 {
			s.next = 0
			return
		}
		if ctx.Err() != nil {
			s.next = pid
			return
		}
		s.look(ctx, pid)
	}
	s.next = 0
	// Sockets that came while an earlier walk was under way have missed its
	// beginning: all are looked for again, later.
	state := Nobody
	if s.dark {
		state = Hidden
	}
	for inode := range s.missing {
		s.known[inode] = &holder{state: state, at: s.now}
	}
}

// look looks through the open files of one process.
func (s *search) look(ctx context.Context, pid int) {
	if s.looked[pid] {
		return
	}
	if s.looked == nil {
		s.looked = map[int]bool{}
	}
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	entries, err := s.files.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		s.dark = true
	}
	for i, entry := range entries {
		if i%64 == 0 && ctx.Err() != nil {
			return
		}
		link := dir + entry.Name()
		target, err := s.files.Readlink(link)
		if err != nil || !strings.HasPrefix(target, "socket:[") {
			continue
		}
		inode, err := strconv.ParseUint(target[len("socket:["):len(target)-1], 10, 64)
		if err != nil || !s.missing[inode] {
			continue
		}
		if p, err := Look(s.files, pid); err == nil {
			s.known[inode] = &holder{state: Found, process: p, link: link, at: s.now}
			delete(s.missing, inode)
			if len(s.missing) == 0 {
				break
			}
		}
	}
	s.looked[pid] = true
}
