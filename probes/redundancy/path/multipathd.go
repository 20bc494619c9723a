package path

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
)

// sockets are where multipathd listens, by its version.
func sockets() []string {
	return []string{"@/org/kernel/linux/storage/multipathd", "/run/multipathd.socket"}
}

const (
	patience  = 3 * time.Second // multipathd itself gives a client up after that
	maxAnswer = 64 << 20
)

// askDaemon returns the maps as multipathd sees them, by UUID. Everybody may
// ask it to show something.
func askDaemon(ctx context.Context, host probes.Host) (map[string]Map, error) {
	answer, err := Daemon(ctx, host, "show maps json")
	if err != nil {
		return nil, err
	}
	maps, err := ParseMaps(answer)
	if err != nil {
		return nil, err
	}
	byUUID := map[string]Map{}
	for _, m := range maps {
		byUUID["mpath-"+m.UUID] = m
	}
	return byUUID, nil
}

// Daemon sends multipathd one of its commands and returns the answer. What
// changes something it takes from root alone.
func Daemon(ctx context.Context, host probes.Host, command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var failed error
	for _, socket := range sockets() {
		conn, err := host.Dial(ctx, "unix", socket)
		if err != nil {
			failed = err
			continue
		}
		defer conn.Close()
		if deadline, limited := ctx.Deadline(); limited {
			_ = conn.SetDeadline(deadline) // without one the context still ends the wait of others
		}
		answer, err := converse(conn, command)
		if err != nil {
			return nil, fmt.Errorf("multipathd: %w", err)
		}
		return answer, nil
	}
	return nil, fmt.Errorf("multipathd does not listen, so that nobody checks paths and brings them back: %w", failed)
}

// converse sends one command and returns the answer: each is a length of the
// machine's word and as many bytes, the last of which is zero.
func converse(conn io.ReadWriter, command string) ([]byte, error) {
	request := binary.NativeEndian.AppendUint64(nil, uint64(len(command)+1))
	request = append(append(request, command...), 0)
	if strconv.IntSize == 32 {
		request = append(binary.NativeEndian.AppendUint32(nil, uint32(len(command)+1)), request[8:]...)
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	word := make([]byte, strconv.IntSize/8)
	if _, err := io.ReadFull(conn, word); err != nil {
		return nil, err
	}
	size := uint64(0)
	if len(word) == 8 {
		size = binary.NativeEndian.Uint64(word)
	} else {
		size = uint64(binary.NativeEndian.Uint32(word))
	}
	if size > maxAnswer {
		return nil, rootfs.ErrTooLarge
	}
	answer := make([]byte, size)
	_, err := io.ReadFull(conn, answer)
	return []byte(strings.TrimRight(string(answer), "\x00\n")), err
}

// answered is what "show maps json" prints, as far as it is used.
type answered struct {
	Major *int `json:"major_version"`
	Maps  []struct {
		Name     string `json:"name"`
		UUID     string `json:"uuid"`
		Queueing string `json:"queueing"`
		Groups   []struct {
			State    string `json:"dm_st"`
			Marginal string `json:"marginal_st"`
			Paths    []struct {
				Device   string `json:"dev"`
				Number   string `json:"dev_t"`
				Mapper   string `json:"dm_st"`
				Disk     string `json:"dev_st"`
				Checker  string `json:"chk_st"`
				Marginal string `json:"marginal_st"`
				HostPort string `json:"host_wwpn"`
				Adapter  string `json:"host_adapter"`
				Port     string `json:"target_wwpn"`
			} `json:"paths"`
		} `json:"path_groups"`
	} `json:"maps"`
}

// ParseMaps reads the answer of multipathd to "show maps json".
func ParseMaps(data []byte) ([]Map, error) {
	var in answered
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("multipathd says %.60q: %w", data, err))
	}
	if in.Major == nil || *in.Major != 0 {
		return nil, probes.Because(probes.Unsupported, errors.New("multipathd speaks an unknown version of its own format"))
	}
	var maps []Map
	for _, m := range in.Maps {
		out := Map{Name: m.Name, UUID: m.UUID, Queues: m.Queueing == "on"}
		for i, of := range m.Groups {
			n := i + 2
			if of.State == "active" {
				n = 1
			}
			for _, p := range of.Paths {
				leg := Leg{
					Name: p.Device, Number: p.Number, State: disk(p.Disk), Mapper: p.Mapper, Checker: p.Checker, Group: n,
					Adapter: defined(p.HostPort), Target: defined(p.Port),
				}
				if leg.Adapter == "" {
					leg.Adapter = defined(p.Adapter)
				}
				if p.Marginal == "marginal" || of.Marginal == "marginal" {
					leg.Outside = "marginal"
				}
				if of.State == "disabled" {
					leg.Outside = "its group is disabled"
				}
				out.Paths = append(out.Paths, leg)
			}
		}
		maps = append(maps, out)
	}
	return maps, nil
}

// disk returns the state of a SCSI disk in the words of sysfs, which multipathd
// knows in part.
func disk(state string) string {
	if state == "unknown" || state == "undef" {
		return ""
	}
	return state
}

// defined drops what multipathd writes for what it does not know.
func defined(text string) string {
	if strings.HasPrefix(text, "[") || text == "undef" {
		return ""
	}
	return text
}

// status takes in the status line of the target "multipath", as multipath_status
// in drivers/md/dm-mpath.c of the kernel writes it: counts, each followed by as
// many words, then groups, and in each the paths.
func (m *Map) status(line string) error {
	r := reader{words: strings.Fields(line)}
	r.skip() // features
	r.skip() // arguments of the hardware handler
	groups, _ := r.number(), r.number()
	failed := map[string]Leg{}
	for n := range groups {
		state := r.word()
		r.skip() // of the path selector
		paths, more := r.number(), r.number()
		for range paths {
			leg := Leg{Number: r.word(), Group: n + 2}
			if state == "A" {
				leg.Group = 1
			}
			if state == "D" {
				leg.Outside = "its group is disabled"
			}
			switch word := r.word(); word {
			case "A":
				leg.Mapper = "active"
			case "F":
				leg.Mapper = "failed"
			default:
				return group.Word("what the device mapper says of path "+leg.Number, word)
			}
			r.number() // how often it failed
			for range more {
				r.word()
			}
			if r.short {
				break
			}
			failed[leg.Number] = leg
		}
	}
	if r.short {
		return probes.Because(probes.Malformed, fmt.Errorf("the status of the map is %.60q, which is not understood", line))
	}
	for i := range m.Paths {
		leg := &m.Paths[i]
		known, there := failed[leg.Number]
		if !there {
			leg.Outside = "not in the table of the map"
			continue
		}
		leg.Mapper, leg.Group, leg.Outside = known.Mapper, known.Group, known.Outside
	}
	return nil
}

// reader takes words of a line one by one.
type reader struct {
	words []string
	short bool // it ended too early, or held something else
}

func (r *reader) word() string {
	if len(r.words) == 0 {
		r.short = true
		return ""
	}
	word := r.words[0]
	r.words = r.words[1:]
	return word
}

func (r *reader) number() int {
	n, err := strconv.Atoi(r.word())
	if err != nil || n < 0 || n > 1<<16 {
		r.short = true
		return 0
	}
	return n
}

// skip passes over a count and as many words.
func (r *reader) skip() {
	for range r.number() {
		r.word()
	}
}
