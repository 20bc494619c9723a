package engine

import (
	"cmp"
	"path"
	"strconv"
	"strings"
)

// defaultMemory is how much memory each process of a server gets where the
// configuration does not say.
const defaultMemory = 1 << 30

// memory returns how many bytes each process of a server may have: what the
// configuration says, and never more than three quarters of what the agent has
// with all that it starts, or a server would take the agent with it.
func (s *Session) memory() int64 {
	wanted := cmp.Or(s.task.Memory, defaultMemory)
	if limit := s.shared(); limit > 0 {
		return min(wanted, limit/4*3)
	}
	return wanted
}

// shared returns the limit of memory of the control group of the agent, as
// cgroups(7) describes version 2 of them; 0: there is none.
func (s *Session) shared() int64 {
	const top, small = "/sys/fs/cgroup", 4096
	text, err := s.host.Files.ReadFile("/proc/self/cgroup", small)
	if err != nil {
		return 0
	}
	_, group, found := strings.Cut("\n"+string(text), "\n0::")
	if !found {
		return 0
	}
	group, _, _ = strings.Cut(group, "\n")
	least := int64(0)
	for dir := path.Join(top, group); strings.HasPrefix(dir, top+"/"); dir = path.Dir(dir) {
		text, err := s.host.Files.ReadFile(path.Join(dir, "memory.max"), small)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (least == 0 || limit < least) {
			least = limit
		}
	}
	return least
}
