package redundancy

import (
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/seed"
)

const (
	seedVersion = 1
	seedEvery   = 10 * time.Minute // the configuration of a host changes rarely
)

// seeds are what the configuration of the host says that there should be. Each
// is sown once: what people accept afterwards is not taken back because an old
// line still stands in a file. A file that asks for more is news.
type seeds struct {
	state  probes.State
	loaded bool
	sown   map[string]int // members, or 1 where the number is not known, by object
	next   time.Time
}

func (s *seeds) load() error {
	if s.loaded {
		return nil
	}
	sown := map[string]int{}
	if _, err := s.state.Load(seedVersion, &sown); err != nil {
		return err
	}
	s.sown, s.loaded = sown, true
	return nil
}

// sow raises what is remembered to what is configured. Nothing is sown before it
// is known what was sown earlier.
func (r *run) sow(groups []group.Group) {
	if !r.loaded || r.seeds.load() != nil || r.now.Before(r.seeds.next) {
		return
	}
	r.seeds.next = r.now.Add(seedEvery)
	changed := false
	for _, s := range seed.Read(r.host.Files) {
		object, known := r.owner(s, groups)
		count := max(1, s.Count)
		if !known || r.seeds.sown[object] >= count || r.config.dropped(object) || r.config.expected(object).Members != nil {
			continue
		}
		r.seeds.sown[object], changed = count, true
		detail, _ := r.recorded(object, s.ID)
		detail.ID, detail.Members = s.ID, max(detail.Members, count)
		detail.Spares = max(detail.Spares, s.Spares)
		if detail.Names == "" && len(s.Members) > 0 {
			var lines []string
			for _, name := range s.Members {
				lines = append(lines, line(name)+"\t"+line(name))
			}
			detail.Names = strings.Join(lines, "\n")
		}
		r.memory.Saw(object, detail, r.now)
	}
	if changed {
		_ = r.seeds.state.Save(seedVersion, r.seeds.sown) // what is not saved is sown again, to the same effect
	}
}

// owner returns the object that a seed speaks of: the group of its identity,
// whatever its name is. It is not known where an array of another name could be
// it, and does not tell its identity.
func (r *run) owner(s seed.Seed, groups []group.Group) (string, bool) {
	same := slices.IndexFunc(groups, func(g group.Group) bool {
		return g.Kind == s.Kind && (s.ID != "" && g.ID == s.ID || g.Name == s.Name)
	})
	if same >= 0 {
		return groups[same].Object(), true
	}
	nameless := slices.ContainsFunc(groups, func(g group.Group) bool { return g.Kind == s.Kind && g.ID == "" })
	return s.Object(), s.Kind != group.MDRaid || !nameless
}
