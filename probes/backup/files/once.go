package files

import (
	"bufio"
	"context"
	"errors"
	"io"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
)

// A Judge judges what can be read only once, such as an object of a bucket, as
// files are judged.
type Judge struct{ location *location }

// NewJudge returns a judge of content of a type; empty: of any.
func NewJudge(host probes.Host, want string) *Judge {
	return &Judge{open(host, job.Options{Content: want})}
}

// A Judged is what came of it.
type Judged struct {
	// Err is a flaw, or why it could not be judged; stream.ErrFile when only a
	// file of it could be.
	Err   error
	Tools []job.Tool
	Notes []string
}

// Once reads a stream to its end and judges it.
func (j *Judge) Once(ctx context.Context, name string, size int64, in io.Reader) Judged {
	buffered := bufio.NewReaderSize(in, 64<<10)
	head, err := buffered.Peek(content.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return Judged{Err: err}
	}
	s := j.subject(name, head)
	format, claimed := stream.Detect(head), stream.Named(name)
	var f finding
	switch {
	case len(head) == 0:
		f.err = job.Flawed(job.Empty, "it is empty")
	case claimed != nil && (format == nil || format.Name != claimed.Name):
		f.err = notClaimed(claimed.Name, head)
	case format != nil:
		f = s.unpacked(ctx, func(consume func(io.Reader) error) (stream.Result, error) {
			return s.decoder.Forward(ctx, format, buffered, size, consume)
		})
	case needsFile(head):
		f.err = stream.ErrFile
	default:
		f = s.once(ctx, buffered)
	}
	if _, err = io.Copy(io.Discard, buffered); err != nil {
		f.err = err // the stream broke, and what followed from that says nothing
	}
	return Judged{Err: f.err, Tools: f.tools, Notes: f.notes}
}

func (j *Judge) subject(name string, head []byte) *subject {
	s := &subject{location: j.location, name: name, head: head, depth: job.Read, want: j.location.want}
	if s.want == content.Any && namedTar(name) {
		s.want = content.Tar
	}
	return s
}

// once judges what is not compressed as a whole.
func (s *subject) once(ctx context.Context, r io.Reader) finding {
	info, tool, err := s.content(ctx, r)
	f := finding{err: err, notes: info.Notes, tools: []job.Tool{{Name: "builtin " + string(info.Type)}}}
	if tool != nil {
		f.tools = []job.Tool{*tool}
	}
	return f
}

// needsFile reports whether the programs that judge content want to go back in
// it.
func needsFile(head []byte) bool {
	switch content.Detect(head) {
	case content.Zip, content.SevenZip, content.SQLite, content.Redis, content.Etcd:
		return true
	case content.Tar:
		return string(firstMember(head)) == "toc.dat"
	}
	return false
}

// Recognised reports whether what begins like this would be unpacked, and not
// only copied, to restore it.
func Recognised(name string, head []byte) bool {
	return stream.Detect(head) != nil || stream.Named(name) != nil || content.Detect(head) != content.Any
}
