package job

import "time"

// A Pack is a file of a repository with data that never changes.
type Pack struct {
	Name     string
	Bytes    int64
	Modified time.Time
}

// Packs are packs that are read together.
type Packs []Pack

// LargestDay is how many bytes the packs of one day may have that are read as one.
const LargestDay = 16 << 30

// ByDay puts the packs of a day together: they never change, so that a day that is
// over stays as it was read, and only what is new has to be read soon. A day with
// very much is cut by what part returns of a pack, such as the first digit of its
// hash. The keys are the identities of units.
func ByDay(packs []Pack, part func(Pack) string) map[string]Packs {
	days := map[string]Packs{}
	for _, p := range packs {
		id := p.Modified.UTC().Format(time.DateOnly)
		days[id] = append(days[id], p)
	}
	list := map[string]Packs{}
	for day, packs := range days {
		if packs.Unit(day).Bytes <= LargestDay {
			list[day] = packs
			continue
		}
		for _, p := range packs {
			id := day + "/" + part(p)
			list[id] = append(list[id], p)
		}
	}
	return list
}

// Unit is the unit that the packs are. Those that are removed do not change it.
func (g Packs) Unit(id string) Unit {
	u := Unit{ID: id}
	var newest time.Time
	for _, p := range g {
		u.Bytes += p.Bytes
		if p.Modified.After(newest) {
			newest = p.Modified
		}
	}
	u.Stamp = newest.UTC().Format(time.RFC3339Nano)
	return u
}
