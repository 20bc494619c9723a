package devmapper

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// answer encodes targets as the kernel does.
func answer(targets ...probes.MappedTarget) []byte {
	data := header(headerSize, "a")
	binary.NativeEndian.PutUint32(data[atCount:], uint32(len(targets)))
	at := 0
	for _, target := range targets {
		size := (specSize + len(target.Status) + 1 + 7) &^ 7
		spec := make([]byte, size)
		at += size
		binary.NativeEndian.PutUint32(spec[20:], uint32(at))
		copy(spec[24:], target.Type)
		copy(spec[specSize:], target.Status)
		data = append(data, spec...)
	}
	return data
}

func TestTargets(t *testing.T) {
	want := []probes.MappedTarget{{Type: "multipath", Status: "2 0 0 0 1 1 A 0 1 0 8:0 A 0"}, {Type: "linear"}}
	got, err := parseTargets(answer(want...))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	whole := answer(want...)
	for size := range whole {
		if got, err := parseTargets(whole[:size]); err == nil {
			t.Errorf("an answer cut at %d is taken for %v", size, got)
		}
	}
}

func TestADeviceThatIsNotThereIsAnError(t *testing.T) {
	_, err := Kernel{}.Status(t.Context(), "hygiene-no-such-device")
	if err == nil {
		t.Fatal("there is one")
	}
	t.Log(err)
	_, err = Kernel{}.Status(t.Context(), "")
	if probes.ReasonOf(err) != probes.Malformed || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a device without a name: %v", err)
	}
}

// What is returned lies within the answer.
func FuzzTargets(f *testing.F) {
	f.Add(answer(probes.MappedTarget{Type: "raid", Status: "raid1 2 AA 1/1 idle 0 0 -"}))
	f.Add(answer())
	f.Fuzz(func(t *testing.T, data []byte) {
		targets, _ := parseTargets(data)
		size := 0
		for _, target := range targets {
			size += specSize + len(target.Status)
		}
		if size > len(data) {
			t.Errorf("%d bytes of %d", size, len(data))
		}
	})
}
