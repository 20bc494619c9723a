package raid

import (
	"bytes"
	"encoding/json"
)

// A Word is a scalar of JSON as text: tools write the same thing as a number on
// one controller and as a string on the next.
type Word string

// UnmarshalJSON takes any scalar. Of anything else, the text remains.
func (w *Word) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*w = Word(text)
		return nil
	}
	*w = Word(bytes.TrimSpace(data))
	return nil
}
