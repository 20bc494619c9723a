package certificate

import (
	"errors"
	"io/fs"
	"strings"
)

// The bounds of a file of passwords.
const (
	maxPasswordsSize = 64 << 10
	maxPasswords     = 100
)

// passwords reads the passwords of a source, anew in each run.
func (s *scan) passwords(source *Source) ([]string, error) {
	name := source.PasswordsFile
	if name == "" {
		return nil, nil
	}
	files, path := s.host.Files, name
	if !strings.Contains(name, "/") {
		files, path = s.host.Credentials, "/"+name
	}
	if files == nil {
		return nil, errNoCredentials
	}
	text, err := files.ReadFile(path, maxPasswordsSize)
	if err != nil {
		return nil, err
	}
	s.result.Observe(name)
	return lines(text), nil
}

var errNoCredentials = errors.Join(errors.New("systemd passed no credentials to the agent; set LoadCredential= in its unit"), fs.ErrNotExist)

// lines splits a file of passwords. White space may belong to a password; only
// the ends of lines do not.
func lines(text []byte) []string {
	var list []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && len(list) < maxPasswords {
			list = append(list, line)
		}
	}
	return list
}
