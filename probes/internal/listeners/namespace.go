package listeners

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A Namespace is a network namespace.
type Namespace struct {
	// ID tells it from others as long as it exists. The kernel gives it to
	// every user: it is the inode of a file in the namespace's /proc/net.
	ID   uint64
	Own  bool   // the agent lives in it
	Init bool   // the first process of the host lives in it
	PID  int    // the lowest of the processes that live in it; 0 if none does
	Name string // in /run/netns; empty if it has none, or if that cannot be seen

	link uint64 // inode of the namespace itself; 0 if it cannot be seen
}

// namedDir is where ip-netns(8) keeps namespaces.
const namedDir = "/run/netns"

func (n Namespace) path() string {
	if n.PID > 0 {
		return fmt.Sprintf("/proc/%d/ns/net", n.PID)
	}
	return namedDir + "/" + n.Name
}

// Namespaces finds the network namespaces of the host, the agent's own first.
// Without any right it finds all in which a process lives, and does not know
// their names; with CAP_SYS_PTRACE it knows the names, and those of ip-netns(8)
// in which no process lives.
func (s *Source) Namespaces(ctx context.Context) ([]Namespace, error) {
	entries, err := s.files.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	byID := map[uint64]*Namespace{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid < 1 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, err := s.inode(fmt.Sprintf("/proc/%d/net/dev", pid))
		if err != nil {
			continue // it has ended, or is a zombie
		}
		n, known := byID[id]
		if !known {
			n = &Namespace{ID: id, PID: pid}
			byID[id] = n
		}
		n.PID, n.Init = min(n.PID, pid), n.Init || pid == 1
	}
	if own, err := s.inode("/proc/self/net/dev"); err == nil && byID[own] != nil {
		byID[own].Own = true
	}
	list := make([]Namespace, 0, len(byID))
	for _, n := range byID {
		list = append(list, *n)
	}
	list, err = s.name(list)
	slices.SortFunc(list, func(a, b Namespace) int {
		if a.Own != b.Own {
			return map[bool]int{true: -1, false: 1}[a.Own]
		}
		return a.PID - b.PID
	})
	return list, err
}

// Present reports whether a namespace is still the one that was found.
func (s *Source) Present(n Namespace) bool {
	if n.PID == 0 {
		link, err := s.named(n.Name)
		return err == nil && link == n.ID
	}
	id, err := s.inode(fmt.Sprintf("/proc/%d/net/dev", n.PID))
	return err == nil && id == n.ID
}

// name gives namespaces the names of ip-netns(8), and adds those in which no
// process lives. A name can be told to be another one only if the links of all
// processes can be read.
func (s *Source) name(list []Namespace) ([]Namespace, error) {
	names, err := s.files.ReadDir(namedDir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return list, nil
	}
	if err != nil {
		return list, err
	}
	all := true
	for i := range list {
		list[i].link = s.link(list[i].PID)
		all = all && list[i].link > 0
	}
	for _, entry := range names {
		link, err := s.named(entry.Name())
		if err != nil {
			continue
		}
		i := slices.IndexFunc(list, func(n Namespace) bool { return n.link == link })
		switch {
		case i >= 0 && list[i].Name == "":
			list[i].Name = entry.Name()
		case i < 0 && all:
			list = append(list, Namespace{ID: link, Name: entry.Name(), link: link})
		}
	}
	return list, nil
}

// link returns the inode of the namespace of a process.
func (s *Source) link(pid int) uint64 {
	text, err := s.files.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return 0
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(text, "net:["), "]"), 10, 64)
	if err != nil {
		return 0
	}
	return inode
}

// named returns the inode of the namespace that is mounted under a name. A file
// without a mount, which ip-netns(8) leaves behind in other mount namespaces, is
// no namespace.
func (s *Source) named(name string) (uint64, error) {
	self, err := s.stat("/proc/self/ns/net")
	if err != nil {
		return 0, err
	}
	mounted, err := s.stat(namedDir + "/" + name)
	if err != nil {
		return 0, err
	}
	if mounted.Dev != self.Dev {
		return 0, fs.ErrNotExist
	}
	return mounted.Ino, nil
}

func (s *Source) inode(path string) (uint64, error) {
	stat, err := s.stat(path)
	if err != nil {
		return 0, err
	}
	return stat.Ino, nil
}

func (s *Source) stat(path string) (*syscall.Stat_t, error) {
	info, err := s.files.Stat(path)
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, errors.ErrUnsupported)
	}
	return stat, nil
}
