package decompress

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"hygiene_exporter/probes"
)

// samples hold "hello\n", each made by the program that gave the format its name.
var samples = map[string]string{
	"gzip":  "H4sIAAAAAAAAA8tIzcnJ5wIAIDA6NgYAAAA=",
	"bzip2": "QlpoOTFBWSZTWcHAgOIAAAFBAAAQAkSgADDNAMNGKZcXckU4UJDBwIDi",
	"xz":    "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAFaGVsbG8KAAAApWCX8ZT2/eAAAR4GwS+kHR+2830BAAAAAARZWg==",
	"lzma":  "XQAAgAD//////////wA0GUnujd09Ot///90SAAA=",
	"lz4":   "BCJNGGRApwYAAIBoZWxsbwoAAAAA+VtrlA==",
	"zstd":  "KLUv/QRYMQAAaGVsbG8KU4i9kQ==",
	"plain": "aGVsbG8K",
}

func decode(t testing.TB, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(data []byte) (string, error) {
	r, err := New(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

func TestWhatTheProgramsOfTheFormatsWrote(t *testing.T) {
	for name, text := range samples {
		data := decode(t, text)
		if got, err := read(data); got != "hello\n" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if name == "plain" {
			continue
		}
		if got, err := read(data[:len(data)/2+3]); err == nil {
			t.Errorf("half of %s is read as %q", name, got)
		} else if probes.ReasonOf(err) != probes.Malformed {
			t.Errorf("half of %s is %s, want malformed", name, probes.ReasonOf(err))
		}
	}
}

func TestErrorsOfTheFileStayWhatTheyAre(t *testing.T) {
	broken := errors.New("broken")
	if _, err := New(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if got, err := read(nil); got != "" || err != nil {
		t.Errorf("an empty file: %q, %v", got, err)
	}
}

// Whatever a file holds, reading it ends without a panic, and a file that is
// not compressed is read as it is.
func FuzzNew(f *testing.F) {
	for _, text := range samples {
		f.Add(decode(f, text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := New(bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		text, err := io.ReadAll(io.LimitReader(r, 1<<20))
		if err == nil && len(data) > 0 && data[0] == 'a' && !bytes.Equal(text, data) {
			t.Errorf("%q is read as %q", data, text)
		}
	})
}
