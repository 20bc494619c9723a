package apt

import "testing"

// The numbers are those that a program in C++ drew.
func TestDraw(t *testing.T) {
	for seed, want := range map[string]int{
		"systemd-255.4-1ubuntu8.5-0123456789abcdef0123456789abcdef": 72,
		"a": 94,
	} {
		if got := draw(seed); got != want {
			t.Errorf("draw(%q) = %d, want %d", seed, got, want)
		}
	}
}
