package statefile

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func example(t testing.TB) []byte {
	t.Helper()
	g := generation{
		Schema: 2, MachineID: "0123456789abcdef0123456789abcdef",
		SavedAt: time.Date(2026, 7, 1, 12, 0, 0, 123, time.UTC), Data: []byte(`{"a":[1,2.5,"\u003c"],"b":null}`),
	}
	text, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Any bit of a file that flips is noticed, unless it leaves all values as they
// were, such as the case of a key.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	t.Parallel()
	text := example(t)
	want, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(text) * 8 {
		flipped := bytes.Clone(text)
		flipped[i/8] ^= 1 << (i % 8)
		got, err := decode(flipped)
		if err == nil && !cmp.Equal(want, got) {
			t.Errorf("bit %d flipped in %q is read as %+v", i, flipped, got)
		}
	}
}

func TestEveryTruncationIsNoticed(t *testing.T) {
	t.Parallel()
	text := example(t)
	for n := range len(text) - 1 { // the last byte is the newline
		if got, err := decode(text[:n]); err == nil {
			t.Errorf("%q is read as %+v", text[:n], got)
		}
	}
}

// Whatever is in the file: it is a damage, or a generation that is written back
// as it was read.
func FuzzDecode(f *testing.F) {
	f.Add(example(f))
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"schema":1,"data":{"a":1}}{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decode(text)
		if err != nil {
			if !errors.As(err, &damage{}) {
				t.Fatalf("%v is no damage", err)
			}
			return
		}
		written, err := got.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(written)
		if err != nil || !cmp.Equal(got, again) {
			t.Fatalf("%q is written back as %q: %v", text, written, err)
		}
	})
}
