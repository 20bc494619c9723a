package apt

// draw returns the number from 0 to 100 that decides whether a host takes part
// in a phased update: it does when the number is at most the percentage. apt
// draws it with the generators of the C++ standard library: a seed_seq of the
// bytes of the seed, minstd_rand, and uniform_int_distribution as libstdc++ does
// it. The seed is <source>-<source version>-<machine id>.
func draw(seed string) int {
	const (
		modulus    = 1<<31 - 1
		multiplier = 48271
		outcomes   = 101
		scale      = (modulus - 2) / outcomes
	)
	state := seedSequence(seed)[3] % modulus
	if state == 0 {
		state = 1
	}
	for {
		state = uint32(uint64(state) * multiplier % modulus)
		if n := (state - 1) / scale; n < outcomes {
			return int(n)
		}
	}
}

// seedSequence is std::seed_seq::generate for four words.
func seedSequence(seed string) [4]uint32 {
	const n, p, q = 4, 1, 2
	b := [n]uint32{0x8b8b8b8b, 0x8b8b8b8b, 0x8b8b8b8b, 0x8b8b8b8b}
	mix := func(x uint32) uint32 { return x ^ x>>27 }
	s := len(seed)
	m := max(s+1, n)
	for k := range m {
		r := 1664525 * mix(b[k%n]^b[(k+p)%n]^b[(k+n-1)%n])
		add := uint32(k % n)
		switch {
		case k == 0:
			add = uint32(s)
		case k <= s:
			add += uint32(int8(seed[k-1])) // a char has a sign on most machines, and non-ASCII seeds do not occur
		}
		b[(k+p)%n] += r
		b[(k+q)%n] += r + add
		b[k%n] = r + add
	}
	for k := m; k < m+n; k++ {
		r := 1566083941 * mix(b[k%n]+b[(k+p)%n]+b[(k+n-1)%n])
		less := r - uint32(k%n)
		b[(k+p)%n] ^= r
		b[(k+q)%n] ^= less
		b[k%n] = less
	}
	return b
}
