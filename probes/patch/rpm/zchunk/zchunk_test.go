package zchunk_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/rpm/zchunk"
)

// number writes a number as the format does.
func number(n int) []byte {
	var out []byte
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n&0x7f))
	}
	return append(out, byte(n)|0x80)
}

// encode writes a file of chunks, without a dictionary.
func encode(chunks ...string) []byte {
	writer, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	var data, index []byte
	for _, c := range append([]string{""}, chunks...) {
		stored := []byte(nil)
		if c != "" {
			stored = writer.EncodeAll([]byte(c), nil)
		}
		sum := sha256.Sum256(stored)
		if stored == nil {
			sum = [32]byte{}
		}
		index = append(append(append(index, sum[:]...), number(len(stored))...), number(len(c))...)
		data = append(data, stored...)
	}
	index = append(append(number(1), number(len(chunks)+1)...), index...)
	header := append(make([]byte, 32), number(0)...)
	header = append(append(header, number(2)...), number(len(index))...)
	header = append(append(header, index...), number(0)...)
	lead := append([]byte(zchunk.Magic), number(1)...)
	lead = append(lead, number(len(header))...)
	sum := sha256.Sum256(append(bytes.Clone(lead), header...))
	return append(append(append(lead, sum[:]...), header...), data...)
}

func TestChunksAreReadInTheirOrder(t *testing.T) {
	t.Parallel()
	z, err := zchunk.NewReader(bytes.NewReader(encode("one ", strings.Repeat("two ", 1000), "three")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if want := "one " + strings.Repeat("two ", 1000) + "three"; err != nil || string(got) != want {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestEveryByteOfTheHeaderAndOfChunksCounts(t *testing.T) {
	t.Parallel()
	file := encode("one", "two")
	for at := range file {
		damaged := bytes.Clone(file)
		damaged[at] ^= 0x40
		z, err := zchunk.NewReader(bytes.NewReader(damaged))
		if err == nil {
			_, err = io.ReadAll(z)
		}
		if probes.ReasonOf(err) != probes.Malformed {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	for length := range file {
		z, err := zchunk.NewReader(bytes.NewReader(file[:length]))
		if err == nil {
			_, err = io.ReadAll(z)
		}
		if probes.ReasonOf(err) != probes.Malformed {
			t.Errorf("cut to %d bytes: %v", length, err)
		}
	}
}

// Whatever a file holds, reading ends, and more than the bound is never read.
func FuzzReader(f *testing.F) {
	f.Add(encode("one", "two"))
	f.Fuzz(func(t *testing.T, data []byte) {
		z, err := zchunk.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(z, 1<<20))
	})
}
