// Package raid is what the tools of RAID controllers have in common: levels,
// what part a disk has in a volume, and lines of keys and values. It turns a
// volume into a group, with what it survives in the worst case.
package raid

import (
	"slices"
	"strings"
)

// levels holds the failures of disks that each level survives in the worst case,
// however many disks there are. RAID 10, 50 and 60 survive more only if the
// failures fall well.
func levels() map[int][]string {
	return map[int][]string{
		0: {
			"0", "00", "jbod", "single", "simple", "simplevolume", "span", "spannedvolume", "volume", "concat",
			"is", "cachecade", "nytrocache", "passthrough", "linear",
		},
		1: {
			"1", "1e", "1e0", "10", "1+0", "1+0e", "01", "0+1", "3", "30", "4", "5", "5e", "5ee", "50", "5+0", "im", "ime",
			"1n", "10e", "1/1+0",
		},
		2: {"6", "60", "6+0", "adg", "6reedsolomon", "1adm", "10adm", "1+0adm", "1triple", "10triple", "1+0triple", "6adg"},
	}
}

// Design returns how many failures a level survives in the worst case, from the
// level as a tool writes it: "RAID-6", "raid1E", "1+0", "5 ". It is false for one
// that is not known.
func Design(level string) (int, bool) {
	word := strings.ToLower(level)
	word = strings.ReplaceAll(word, "raid", "")
	word = strings.NewReplacer(" ", "", "-", "", "_", "", "(", "", ")", "").Replace(word)
	for design, words := range levels() {
		if slices.Contains(words, word) {
			return design, true
		}
	}
	return 0, false
}
