package repodata

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"hygiene_exporter/probes"
)

// maxElement is more than any package or advisory takes.
const maxElement = 64 << 20

// block is how much is read at once.
const block = 256 << 10

// elements calls each with the text of every element of a name, from its "<" to
// the end of its closing tag, valid during the call. Metadata has hundreds of
// megabytes of which little matters, so elements are found as text, and only
// those that matter are decoded as XML. Elements of the name do not nest; text
// cannot hold a "<".
func elements(r io.Reader, name string, each func([]byte) error) error {
	w := window{reader: r, store: make([]byte, block)}
	begin, end := []byte("<"+name), []byte("</"+name+">")
	seen := 0 // how much of the element at the start of the window holds no end
	for {
		text := w.text()
		at := opening(text, begin)
		w.drop(at)
		text = text[at:]
		if len(text) > len(begin) {
			if stop := bytes.Index(text[seen:], end); stop >= 0 {
				stop += seen + len(end)
				if err := each(text[:stop]); err != nil {
					return err
				}
				w.drop(stop)
				seen = 0
				continue
			}
			seen = max(0, len(text)-len(end)+1)
		}
		if len(text) > maxElement {
			return malformed("an element %s of more than %d bytes", name, maxElement)
		}
		switch err := w.more(); {
		case errors.Is(err, io.EOF) && len(text) > len(begin):
			return malformed("the file ends within an element %s", name)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// opening returns where the first opening tag of a name is, or what could become
// one when more has been read.
func opening(text, begin []byte) int {
	from := 0
	for {
		at := bytes.Index(text[from:], begin)
		if at < 0 {
			return max(from, len(text)-len(begin)+1)
		}
		from += at
		if rest := text[from+len(begin):]; len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n>"), rest[0]) >= 0 {
			return from
		}
		from++
	}
}

// A window is the part of a file that is looked at.
type window struct {
	reader io.Reader
	store  []byte
	lo, hi int
}

func (w *window) text() []byte { return w.store[w.lo:w.hi] }

func (w *window) drop(n int) { w.lo += n }

// more reads on, and makes room for it first.
func (w *window) more() error {
	if w.lo > 0 {
		w.hi = copy(w.store, w.store[w.lo:w.hi])
		w.lo = 0
	}
	if w.hi == len(w.store) {
		w.store = append(w.store, make([]byte, len(w.store))...)
	}
	n, err := w.reader.Read(w.store[w.hi:])
	w.hi += n
	if n > 0 {
		return nil
	}
	return err
}

// inner returns the text of the first element of a name that has no attributes.
func inner(element []byte, name string) []byte {
	_, rest, ok := bytes.Cut(element, []byte("<"+name+">"))
	if !ok {
		return nil
	}
	text, _, _ := bytes.Cut(rest, []byte("</"+name+">"))
	return text
}

// names calls each with the attribute name of all tags.
func names(element []byte, each func(name []byte) (more bool)) {
	for {
		_, rest, ok := bytes.Cut(element, []byte(` name="`))
		if !ok {
			return
		}
		name, rest, ok := bytes.Cut(rest, []byte(`"`))
		if !ok || !each(name) {
			return
		}
		element = rest
	}
}

func malformed(format string, args ...any) error {
	return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
}
