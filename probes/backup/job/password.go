package job

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"hygiene_exporter/probes"
)

// maxPassword bounds a file with a password.
const maxPassword = 64 << 10

// Password reads the password that is all that a file holds, without the line
// end behind it. Without one the reason of the error is auth.
func Password(files Files, path string) (string, error) {
	data, err := files.ReadFile(path, maxPassword)
	if errors.Is(err, fs.ErrNotExist) {
		return "", probes.Because(probes.Auth, fmt.Errorf("there is no file with a password at %s", path))
	}
	if err != nil {
		return "", fmt.Errorf("the file with the password: %w", err)
	}
	password := strings.TrimRight(string(data), "\r\n")
	if password == "" || strings.ContainsRune(password, 0) {
		return "", probes.Because(probes.Auth, fmt.Errorf("the file %s holds no password", path))
	}
	return password, nil
}

// printing is a command that only prints a file.
var printing = regexp.MustCompile(`^(?:(?:/usr)?/bin/)?cat +["']?(/[^"'\x00\n$` + "`" + `|;&<>*?\\ ]+)["']?$`)

// PrintedFile returns the file that is all that a command prints. Such a command
// need not be run: the agent can read the file itself.
func PrintedFile(command string) (string, bool) {
	m := printing.FindStringSubmatch(strings.TrimSpace(command))
	if m == nil {
		return "", false
	}
	return m[1], true
}
