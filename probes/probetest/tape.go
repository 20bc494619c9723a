package probetest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"hygiene_exporter/probes"
)

// A Tape holds what a kernel answered to netlink requests, so that a test can
// ask again: a line for each request, with its type and its payload in
// hexadecimal, and below it, indented, one for each message of the answer. The
// zero Tape is empty.
type Tape struct {
	answers map[string][][]byte
	order   []string

	// Kernel answers what is not on the tape, and its answers are recorded. Nil
	// means that the kernel had no answer: fs.ErrNotExist.
	Kernel probes.Netlink
	// Asked counts the requests.
	Asked int
}

var _ probes.Netlink = (*Tape)(nil)

// ParseTape reads what Bytes has written.
func ParseTape(data []byte) (*Tape, error) {
	t := &Tape{answers: map[string][][]byte{}}
	for line := range strings.Lines(string(data)) {
		text, isAnswer := strings.CutPrefix(strings.TrimRight(line, "\n"), "\t")
		if !isAnswer {
			t.order = append(t.order, text)
			t.answers[text] = nil
			continue
		}
		answer, err := hex.DecodeString(text)
		if err != nil || len(t.order) == 0 {
			return nil, fmt.Errorf("line %.40q is no answer: %w", line, err)
		}
		last := t.order[len(t.order)-1]
		t.answers[last] = append(t.answers[last], answer)
	}
	return t, nil
}

// Bytes returns the tape as a file.
func (t *Tape) Bytes() []byte {
	var b bytes.Buffer
	for _, request := range t.order {
		fmt.Fprintln(&b, request)
		for _, answer := range t.answers[request] {
			fmt.Fprintf(&b, "\t%x\n", answer)
		}
	}
	return b.Bytes()
}

// Dump implements probes.Netlink.
func (t *Tape) Dump(ctx context.Context, request probes.NetlinkRequest, each func(probes.NetlinkMessage) error) error {
	t.Asked++
	key := fmt.Sprintf("%d/%d %x", request.Protocol, request.Type, request.Payload)
	if _, known := t.answers[key]; !known {
		if t.Kernel == nil {
			return fs.ErrNotExist
		}
		if err := t.record(ctx, key, request); err != nil {
			return err
		}
	}
	for _, answer := range t.answers[key] {
		if err := each(probes.NetlinkMessage{Type: request.Type, Payload: answer}); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tape) record(ctx context.Context, key string, request probes.NetlinkRequest) error {
	var answers [][]byte
	err := t.Kernel.Dump(ctx, request, func(m probes.NetlinkMessage) error {
		answers = append(answers, bytes.Clone(m.Payload))
		return nil
	})
	if err != nil {
		return err
	}
	if t.answers == nil {
		t.answers = map[string][][]byte{}
	}
	t.answers[key] = answers
	t.order = append(t.order, key)
	return nil
}
