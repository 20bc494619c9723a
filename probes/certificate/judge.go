package certificate

import (
	"slices"
)

// judgedPerRun bounds the files whose signatures one run checks. On a host with
// more of them, the rest is unknown until a later run.
const judgedPerRun = 4000

// judge makes the checks that need more than one file, and those that depend on
// the time, when all files have been read.
func (s *scan) judge() {
	s.trusted()
	s.authorities.seal()
	leaves := make(inventory, 0, len(s.inventory))
	judged := 0
	for _, f := range s.present {
		switch {
		case f.judged == s.authorities.version:
		case judged < judgedPerRun:
			judged++
			s.judgeFile(f)
		case f.judged == 0:
			f.await()
		}
		for i := range f.parts {
			p := &f.parts[i]
			for j := range p.verdicts {
				c := &p.bundle.Certificates[j]
				p.verdicts[j][notYetValid] = of(s.now.Before(c.NotBefore))
				if p.slots[j] == "leaf" {
					leaves = append(leaves, lying{c, p})
				}
			}
		}
	}
	leaves.judgeDuplicates(s.now)
	s.inventory, s.known = leaves, s.authorities
}

// judgeFile follows the chains of a file, and checks the signatures of its lists.
// It needs the certificates as they stand in the file, which are then not kept:
// if others than it is judged by come later, it must be read again.
func (s *scan) judgeFile(f *file) {
	if f.judged != 0 {
		f.trusted = false
		return
	}
	f.judged = s.authorities.version
	for i := range f.parts {
		p := &f.parts[i]
		if leaf, ok := p.leaf(); ok && !p.roots && !p.ssh && !p.bundle.Certificates[leaf].CA {
			v := &p.verdicts[leaf]
			v[chainIncomplete], v[untrusted] = s.authorities.judgeChain(f.name, p, leaf)
		}
	}
	f.onLists = make([]verdicts, len(f.lists))
	for i := range f.lists {
		list := &f.lists[i]
		f.onLists[i][listWithoutEnd] = of(list.NextUpdate.IsZero())
		f.onLists[i][listForged] = s.authorities.judgeList(list)
		list.DER = nil
	}
	for i := range f.parts {
		for j := range f.parts[i].bundle.Certificates {
			if c := &f.parts[i].bundle.Certificates[j]; !c.CA {
				c.DER = nil
			}
		}
	}
}

// await says that a file is to be judged later.
func (f *file) await() {
	for i := range f.parts {
		if leaf, ok := f.parts[i].leaf(); ok && !f.parts[i].ssh && !f.parts[i].roots {
			v := &f.parts[i].verdicts[leaf]
			v[chainIncomplete], v[untrusted] = unknown, unknown
		}
	}
	f.onLists = make([]verdicts, len(f.lists))
	for i := range f.onLists {
		f.onLists[i][listForged] = unknown
	}
}

// intern makes authorities that lie in many files be kept once.
func (s *scan) intern(p *part) {
	for i := range p.bundle.Certificates {
		c := &p.bundle.Certificates[i]
		if !c.CA {
			continue
		}
		for _, known := range slices.Concat(s.known.bySubject[c.SubjectHash], s.authorities.bySubject[c.SubjectHash]) {
			if known.Fingerprint == c.Fingerprint {
				*c = known.Certificate
			}
		}
		c.DER = slices.Clip(c.DER)
	}
}

// tell adds what is known of the files that were read.
func (s *scan) tell() {
	for _, f := range s.present {
		for i := range f.parts {
			f.parts[i].tell(&s.result, s.now)
			for _, v := range f.parts[i].verdicts {
				s.sum.add(v)
			}
		}
		for i, list := range f.lists {
			object := objectOf(f.name, list.Name)
			s.result.AddTime(crlNextUpdate, list.NextUpdate, object, f.owner)
			s.result.AddTime(crlOverdue, listOverdue(list.ThisUpdate, list.NextUpdate), object, f.owner)
			s.sum.add(f.onLists[i])
			for c, verdict := range f.onLists[i] {
				if verdict == fail {
					s.result.Add(finding, 1, object, "crl", check(c).String(), f.owner)
				}
			}
		}
	}
	for c := range checks {
		s.result.Add(findingCounts, float64(s.sum[c][pass]), c.String(), "pass")
		s.result.Add(findingCounts, float64(s.sum[c][fail]), c.String(), "fail")
		s.result.Add(findingCounts, float64(s.sum[c][unknown]), c.String(), "unknown")
	}
}
