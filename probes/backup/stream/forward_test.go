package stream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
	"hygiene_exporter/probes/probetest"
)

func zstdOf(t testing.TB, text []byte) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	return encoder.EncodeAll(text, nil)
}

// both judges data as a file, and as what can be read only once.
func both(t testing.TB, data []byte) (file, once error) {
	t.Helper()
	format := stream.Detect(data)
	if format == nil {
		return nil, nil
	}
	decoder := &stream.Decoder{Commands: (&probetest.World{}).Host().Commands}
	drain := func(r io.Reader) error { _, _ = io.Copy(io.Discard, r); return nil }
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, _ := decoder.File(context.Background(), format, f, int64(len(data)), drain)
	b, _ := decoder.Forward(context.Background(), format, bytes.NewReader(data), int64(len(data)), drain)
	return a.Err, b.Err
}

func TestWhatIsReadOnceIsJudgedLikeAFile(t *testing.T) {
	whole := zstdOf(t, bytes.Repeat([]byte("some text of a backup. "), 20_000))
	for _, c := range []struct {
		name string
		data []byte
		file bool // only a file can be judged
	}{
		{"whole", whole, false},
		{"two frames", append(bytes.Clone(whole), whole...), false},
		{"cut off", whole[:len(whole)/2], false},
		{"without its last byte", whole[:len(whole)-1], false},
		{"only the beginning", whole[:6], false},
		{"padded with zeros", append(bytes.Clone(whole), make([]byte, 600)...), true},
		{"followed by something else", append(bytes.Clone(whole), "garbage"...), true},
		{"with half of another frame behind it", append(bytes.Clone(whole), whole[:50]...), false},
	} {
		file, once := both(t, c.data)
		if c.file != errors.Is(once, stream.ErrFile) {
			t.Errorf("%s: %v", c.name, once)
		}
		if !c.file && job.Judge(file).Verdict != job.Judge(once).Verdict {
			t.Errorf("%s: as a file %v, read once %v", c.name, file, once)
		}
	}
}

// Whatever a stream holds, reading it once never calls good what is bad as a
// file.
func FuzzForward(f *testing.F) {
	whole := zstdOf(f, []byte("some text of a backup"))
	f.Add(whole)
	f.Add(append(bytes.Clone(whole), 0, 0, 0, 0))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, once := both(t, data); once == nil && job.IsFlaw(file) {
			t.Errorf("as a file %v, read once good", file)
		}
	})
}
