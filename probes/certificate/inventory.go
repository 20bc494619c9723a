package certificate

import (
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/certificate/bundle"
)

// A lying certificate is a leaf that lies on this host, in a file or a store.
type lying struct {
	*bundle.Certificate
	part *part
}

// An inventory holds the leaves of all files that were read in the last run, so
// that what a server shows can be compared with what is there.
type inventory []lying

// newer returns the leaves that can take the place of a certificate: valid for
// all its names, made later and ending later.
func (v inventory) newer(than bundle.Certificate) (found []lying) {
	for _, l := range v {
		if l.NotBefore.After(than.NotBefore) && l.NotAfter.After(than.NotAfter) && covers(l.Certificate, than) {
			found = append(found, l)
		}
	}
	return found
}

// covers reports whether a certificate is valid for all the names of another.
// Beyond the names that are kept it is when all are the same.
func covers(c *bundle.Certificate, other bundle.Certificate) bool {
	if c.NamesHash == other.NamesHash {
		return true
	}
	if other.NameCount == 0 || other.NameCount > len(other.Names) {
		return false
	}
	return !slices.ContainsFunc(other.Names, func(name string) bool { return !slices.Contains(c.Names, name) })
}

// kindOfKey is rsa, ecdsa and so on: servers use certificates of several kinds
// side by side.
func kindOfKey(key string) string {
	kind, _, _ := strings.Cut(key, "-")
	return kind
}

// judgeDuplicates finds the leaves that should have been replaced by now, and
// whose replacement lies elsewhere on the host: the old copy was forgotten, or
// the new one was not put in its place.
func (v inventory) judgeDuplicates(now time.Time) {
	type kind struct{ names, key string }
	kindOf := func(l lying) kind { return kind{l.NamesHash, kindOfKey(l.Key)} }
	old, newest := []lying{}, map[kind]lying{}
	for _, l := range v {
		i, _ := l.part.leaf()
		l.part.verdicts[i][olderDuplicate] = pass
		if d, ok := l.part.policy.deadlines(*l.Certificate, "leaf"); ok && !now.Before(d.overdue) {
			old = append(old, l)
			newest[kindOf(l)] = l
		}
	}
	if len(old) == 0 {
		return
	}
	for _, l := range v {
		if known, wanted := newest[kindOf(l)]; wanted && l.NotBefore.After(known.NotBefore) {
			newest[kindOf(l)] = l
		}
	}
	for _, l := range old {
		if by := newest[kindOf(l)]; by.NotBefore.After(l.NotBefore) && by.NotAfter.After(l.NotAfter) {
			i, _ := l.part.leaf()
			l.part.verdicts[i][olderDuplicate] = fail
		}
	}
}
