package mdraid

// maxDisks is beyond what md can have.
const maxDisks = 4096

// copies returns, for every kind of block of a raid10 array, the slots that hold
// its copies, as the kernel spreads them: see "layout" in md(4) and the geometry
// in drivers/md/raid10.c. It returns nil for a layout that is not valid.
func copies(layout, disks int) [][]int {
	near, far := layout&0xff, layout>>8&0xff
	if near < 1 || far < 1 || disks < 1 || disks > maxDisks || near*far > disks {
		return nil
	}
	set := disks // how many neighbours share their far copies
	switch layout >> 17 {
	case 0:
	case 1:
		set = disks / far
	case 2:
		set = far * near
	default:
		return nil
	}
	if set < 1 {
		return nil
	}
	var all [][]int
	for start, first := 0, true; first || start != 0; first = false {
		var slots []int
		for i := range near {
			slot := (start + i) % disks
			for range far {
				slots = append(slots, slot)
				slot = shifted(slot, near, set, disks)
			}
		}
		all = append(all, slots)
		start = (start + near) % disks
	}
	return all
}

// shifted returns the slot of the next far copy. It stays among its neighbours;
// the last of them take in the rest of an uneven division.
func shifted(slot, by, set, disks int) int {
	last := (disks/set - 1) * set
	if disks%set != 0 && slot >= last {
		return last + (slot-last+by)%(set+disks%set)
	}
	return slot/set*set + (slot%set+by)%set
}

// tolerance10 returns how many further failures a raid10 array survives in the
// worst case: one less than the copies that the worst-off block has.
func tolerance10(all [][]int, current func(slot int) bool) int {
	least := len(all[0])
	for _, slots := range all {
		n := 0
		for _, slot := range slots {
			if current(slot) {
				n++
			}
		}
		least = min(least, n)
	}
	return least - 1
}
