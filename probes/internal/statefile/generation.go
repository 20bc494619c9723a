package statefile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// maxSize bounds what is read back, far above what any owner saves.
const maxSize = 256 << 20

// A generation is the content of one state file.
type generation struct {
	Schema    int             `json:"schema"`
	MachineID string          `json:"machine_id"`
	SavedAt   time.Time       `json:"saved_at"`
	Checksum  string          `json:"checksum"` // of the same with an empty checksum
	Data      json.RawMessage `json:"data"`
}

// A damage is a content that was not written like this.
type damage struct{ error }

// encode returns the content of the file and fills in the checksum.
func (g *generation) encode() ([]byte, error) {
	var err error
	if g.Checksum, err = g.sum(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(g)
	return append(text, '\n'), err
}

func (g generation) sum() (string, error) {
	g.Checksum = ""
	text, err := json.Marshal(g)
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:]), err
}

// decode is the inverse of encode; anything else is a damage.
func decode(text []byte) (*generation, error) {
	var g generation
	if err := json.Unmarshal(text, &g); err != nil {
		return nil, damage{err}
	}
	sum, err := g.sum()
	if err == nil && sum != g.Checksum {
		err = errors.New("the checksum does not match")
	}
	if err != nil {
		return nil, damage{err}
	}
	return &g, nil
}

// read reads a generation. Besides a damage, errors are those of the operating
// system.
func read(path string) (*generation, error) {
	text, err := rootfs.New(rootfs.Paths{}).ReadFile(path, maxSize)
	switch {
	case errors.Is(err, rootfs.ErrNotRegular), errors.Is(err, rootfs.ErrTooLarge):
		return nil, damage{err}
	case err != nil:
		return nil, err
	}
	return decode(text)
}
