package listeners_test

import (
	"context"
	"encoding/hex"
	"io/fs"
	"strings"

	"hygiene_exporter/probes"
)

// A tape holds recorded dumps: a line for each request in hexadecimal, and
// below it, indented, one for each message of the answer.
type tape struct {
	answers map[string][][]byte
	asked   int
}

func parseTape(data []byte) (*tape, error) {
	t := &tape{answers: map[string][][]byte{}}
	last := ""
	for line := range strings.Lines(string(data)) {
		text, answer := strings.CutPrefix(strings.TrimRight(line, "\n"), "\t")
		raw, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		if answer {
			t.answers[last] = append(t.answers[last], raw)
		} else {
			last = text
			t.answers[last] = nil
		}
	}
	return t, nil
}

// Dump plays the tape. What was not recorded, the kernel did not have.
func (t *tape) Dump(_ context.Context, request probes.NetlinkRequest, each func(probes.NetlinkMessage) error) error {
	t.asked++
	answers, known := t.answers[hex.EncodeToString(request.Payload)]
	if !known {
		return fs.ErrNotExist
	}
	for _, answer := range answers {
		if err := each(probes.NetlinkMessage{Type: 20, Payload: answer}); err != nil {
			return err
		}
	}
	return nil
}
