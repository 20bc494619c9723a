package endpoint

import (
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
)

// A reply is an answer of a server that speaks in numbers, such as "250-first"
// and "250 last".
type reply struct {
	code int
	text []string // of each line, without the number
}

// last returns the last line as it was said.
func (r reply) last() string {
	return strconv.Itoa(r.code) + " " + r.text[len(r.text)-1]
}

// has reports whether one of the lines is or begins with this word.
func (r reply) has(word string) bool {
	for _, line := range r.text {
		if first, _, _ := strings.Cut(line, " "); strings.EqualFold(first, word) {
			return true
		}
	}
	return false
}

// refused makes the error of a reply that is not the one that was hoped for. The
// first digit says whether it may be another one later (RFC 5321 §4.2.1, RFC 959
// §4.2, RFC 3977 §3.2).
func (r reply) refused() error {
	switch r.code / 100 {
	case 1, 4:
		return refused(probes.Unavailable, r.last())
	case 5:
		return refused(probes.Unsupported, r.last())
	}
	return strange(r.last())
}

// numbered cuts a line into its number and its text, and reports whether more
// lines follow.
func numbered(line string) (code int, text string, more, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	for _, digit := range []byte(line[:3]) {
		if digit < '0' || digit > '9' {
			return 0, "", false, false
		}
		code = code*10 + int(digit-'0')
	}
	if line = line[3:]; line == "" {
		return code, "", false, true
	}
	return code, line[1:], line[0] == '-', line[0] == '-' || line[0] == ' '
}

// reply reads a reply of which every line has the same number, RFC 5321 §4.2.
func (c *conversation) reply() (r reply, err error) {
	for {
		line, err := c.line()
		if err != nil {
			return reply{}, err
		}
		code, text, more, ok := numbered(line)
		if !ok || r.text != nil && code != r.code {
			return reply{}, strange(line)
		}
		r.code = code
		r.text = append(r.text, text)
		if !more {
			return r, nil
		}
	}
}

// looseReply reads a reply of which only the first and the last line need have
// the number, RFC 959 §4.2.
func (c *conversation) looseReply() (r reply, err error) {
	for {
		line, err := c.line()
		if err != nil {
			return reply{}, err
		}
		code, text, more, ok := numbered(line)
		switch {
		case r.text == nil && !ok:
			return reply{}, strange(line)
		case r.text == nil:
			r.code = code
		case !ok || code != r.code:
			text, more = line, true
		}
		r.text = append(r.text, text)
		if !more {
			return r, nil
		}
	}
}

// expect reads a reply and is content with one of these codes only.
func (c *conversation) expect(codes ...int) (reply, error) {
	r, err := c.reply()
	if err != nil {
		return reply{}, err
	}
	if !slices.Contains(codes, r.code) {
		return reply{}, r.refused()
	}
	return r, nil
}
