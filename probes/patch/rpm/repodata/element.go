package repodata

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"hygiene_exporter/probes"
)

// maxElement is more than any package or advisory takes.
const maxElement = 64 << 20

// elements calls each with the text of every element of a name, from its "<" to
// the end of its closing tag, valid during the call. Metadata has hundreds of
// megabytes of which little matters, so elements are found as text, and only
// those that matter are decoded as XML. Elements of the name do not nest; text
// cannot hold a "<".
func elements(r io.Reader, name string, each func([]byte) error) error {
	in := bufio.NewReaderSize(r, 256<<10)
	begin, end := []byte("<"+name), []byte("</"+name+">")
	var buffer []byte
	inside := false
	for {
		part, err := in.ReadSlice('>')
		if !inside {
			if at := bytes.Index(part, begin); at >= 0 && opens(part[at+len(begin):]) {
				inside, buffer = true, append(buffer[:0], part[at:]...)
			}
		} else {
			buffer = append(buffer, part...)
		}
		switch {
		case inside && len(buffer) > maxElement:
			return malformed("an element %s of more than %d bytes", name, maxElement)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && inside:
			return malformed("the file ends within an element %s", name)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if inside && bytes.HasSuffix(buffer, end) {
			inside = false
			if err := each(buffer); err != nil {
				return err
			}
		}
	}
}

// opens reports whether what follows a name in a tag ends the name.
func opens(rest []byte) bool {
	return len(rest) > 0 && bytes.IndexByte([]byte(" \t\r\n>"), rest[0]) >= 0
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
