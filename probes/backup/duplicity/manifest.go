package duplicity

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A manifest is what a set says of itself.
type manifest struct {
	sums  map[int][]byte // SHA-1, by number of the volume
	files job.Count      // that are listed as new or changed
}

var (
	volumeLine   = regexp.MustCompile(`^Volume ([1-9]\d{0,8}):$`)
	hashLine     = regexp.MustCompile(`^\s+Hash (\S+) (\S+)$`)
	fileListLine = regexp.MustCompile(`^Filelist (\d{1,12})$`)
)

// maxLine bounds a line of a manifest: a path in which each byte is escaped, and
// more.
const maxLine = 1 << 20

// parseManifest reads a manifest. Every volume must have a SHA-1, and their numbers
// must be those from one on; duplicity itself takes less for enough.
func parseManifest(r io.Reader) (manifest, error) {
	m := manifest{sums: map[int][]byte{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	volume, host := 0, false
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if found := volumeLine.FindStringSubmatch(line); found != nil {
			if volume > 0 && m.sums[volume] == nil {
				break // told below
			}
			n, err := strconv.Atoi(found[1])
			if err != nil || n != volume+1 {
				return m, job.Flawed(job.Incomplete, "the manifest tells of the volume %s behind the volume %d", found[1], volume)
			}
			volume = n
			continue
		}
		if found := hashLine.FindStringSubmatch(line); found != nil && volume > 0 {
			sum, err := hex.DecodeString(found[2])
			if found[1] != "SHA1" || err != nil || len(sum) != 20 || m.sums[volume] != nil {
				return m, job.Flawed(job.Damaged, "the manifest has no proper checksum of the volume %d", volume)
			}
			m.sums[volume] = sum
			continue
		}
		if found := fileListLine.FindStringSubmatch(line); found != nil {
			if n, err := strconv.ParseInt(found[1], 10, 64); err == nil {
				m.files = job.Of(n)
			}
			continue
		}
		host = host || strings.HasPrefix(line, "Hostname ")
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return m, job.Flawed(job.Damaged, "the manifest has a line without an end")
	case err != nil:
		return m, err
	case volume == 0 && !host:
		return m, job.Flawed(job.Damaged, "the manifest is none")
	case volume == 0:
		return m, job.Flawed(job.Truncated, "the manifest tells of no volume")
	case m.sums[volume] == nil:
		return m, job.Flawed(job.Truncated, "the manifest has no checksum of the volume %d", volume)
	}
	return m, nil
}

// manifest reads the manifest of a set: as duplicity keeps it for itself, or as it
// lies beside the volumes.
func (t *target) manifest(ctx context.Context, s *set) (m manifest, err error) {
	if s.manifest == "" {
		return m, job.Flawed(job.Incomplete, "the set of %s has no manifest, without which it cannot be restored", s.to)
	}
	defer func() {
		if flaw, is := errors.AsType[*job.Flaw](err); is {
			err = job.Flawed(flaw.Reason, "the set of %s: %s", s.to, flaw.Text)
		}
	}()
	name := path.Join(t.local, s.manifest)
	if info, err := t.host.Files.Stat(name); err == nil && info.Size() == 0 {
		return m, job.Flawed(job.Truncated, "the manifest is empty")
	}
	encrypted := path.Ext(name) == ".gpg"
	if encrypted && t.options.ArchiveDir != "" {
		kept := path.Join(t.options.ArchiveDir, strings.TrimSuffix(s.manifest, ".gpg"))
		if _, err := t.host.Files.Stat(kept); err == nil {
			name, encrypted = kept, false
		}
	}
	if !encrypted {
		file, err := t.host.Files.Open(name)
		if err != nil {
			return m, err
		}
		defer file.Close()
		return parseManifest(job.Interruptible(ctx, file))
	}
	if t.options.PasswordFile == "" {
		return m, probes.Because(probes.Auth, errors.New("the manifest is encrypted, and there is neither a password_file nor an archive_dir with a plain one"))
	}
	err = job.Stream(
		func(to io.Writer) error {
			out, err := t.host.Pipes.Pipe(ctx, nil, to, "duplicity-manifest", t.options.PasswordFile, name)
			if probes.ReasonOf(err) == probes.NotFound {
				return probes.Because(probes.Unsupported, errors.New("gpg is not installed"))
			}
			if err != nil {
				return err
			}
			return decrypted(out)
		},
		func(in io.Reader) error {
			m, err = parseManifest(in)
			return err
		})
	return m, err
}

// decrypted says why gpg did not succeed.
func decrypted(out probes.Output) error {
	if out.ExitCode == 0 {
		return nil
	}
	text := string(bytes.ToLower(out.Stderr))
	has := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(text, word) {
				return true
			}
		}
		return false
	}
	switch {
	case has("permission denied"):
		return probes.Because(probes.PermissionDenied, errors.New("gpg may not read the manifest or the password"))
	case has("no secret key", "bad session key", "can't open", "bad passphrase", "error reading passphrase"):
		return probes.Because(probes.Auth, errors.New("gpg: the password does not fit, or there is no secret key"))
	case has("no valid openpgp data", "manipulated", "invalid packet", "invalid encoding", "unknown packet", "zlib inflate", "uncompressing failed", "decryption failed", "fread error", "no data", "unexpected data", "premature eof", "checksum error", "mdc"):
		return job.Flawed(job.Damaged, "gpg cannot decrypt the manifest: it is damaged")
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("gpg ended with the status %d: %s", out.ExitCode, last(string(out.Stderr))))
}

func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	line := lines[len(lines)-1]
	return line[:min(len(line), 200)]
}
