package raid

import (
	"strconv"
	"strings"
)

// Pair splits a line "key : value" and trims both.
func Pair(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, ":")
	return strings.Join(strings.Fields(key), " "), strings.TrimSpace(value), ok
}

// Percent returns the ratio from 0 to 1 of the first number in a text that a
// percent sign, or the word, follows: "Recovering, 37.5% complete".
func Percent(text string) (float64, bool) {
	end := strings.IndexByte(text, '%')
	if end < 0 {
		if end = strings.Index(strings.ToLower(text), " percent"); end < 0 {
			return 0, false
		}
	}
	start := end
	for start > 0 && (text[start-1] == '.' || text[start-1] >= '0' && text[start-1] <= '9') {
		start--
	}
	return Number(text[start:end])
}

// Number returns the ratio of a number of percent.
func Number(text string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || n < 0 || n > 100 {
		return 0, false
	}
	return n / 100, true
}

// Indent returns by how many columns a line is indented.
func Indent(line string) (n int) {
	for _, c := range line {
		switch c {
		case ' ':
			n++
		case '\t':
			n += 8
		default:
			return n
		}
	}
	return n
}
