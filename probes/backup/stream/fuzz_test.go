package stream

import (
	"bytes"
	"testing"
)

// FuzzFrames: walking over frames ends, and never says that data ends behind
// the end of the file.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x24, 1, 9, 0, 0, 'x', 1, 2, 3, 4})
	f.Add([]byte{0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0, 0, 0, 0, 5, 93, 204, 2})
	f.Add([]byte{0x02, 0x21, 0x4c, 0x18, 1, 0, 0, 0, 0})
	f.Add([]byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, walk := range map[string]func(*bytes.Reader) (frames, error){
			"zstd": func(r *bytes.Reader) (frames, error) { return zstdFrames(r, r.Size()) },
			"lz4":  func(r *bytes.Reader) (frames, error) { return lz4Frames(r, r.Size()) },
		} {
			if got, _ := walk(bytes.NewReader(data)); got.end > int64(len(data)) || got.unchecked > got.count {
				t.Errorf("%s: %+v of %d bytes", name, got, len(data))
			}
		}
	})
}
