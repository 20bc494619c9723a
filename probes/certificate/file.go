package certificate

import (
	"io/fs"
	"slices"
	"syscall"
	"time"

	"hygiene_exporter/probes/certificate/store"
)

var errNotDirectory = error(syscall.ENOTDIR)

// An identity tells one content of a file from another without reading it. The
// time of the last change of the inode cannot be set by a program, so it also
// tells a rewrite that restores size and modification time.
type identity struct {
	device, inode  uint64
	size           int64
	modified, done syscall.Timespec
}

func identify(info fs.FileInfo) (identity, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	device := uint64(stat.Dev) //nolint:unconvert // it has 32 bits on some architectures
	return identity{device, stat.Ino, stat.Size, stat.Mtim, stat.Ctim}, true
}

// settled is how old a change must be when a file is read. The clock of a file
// system is coarse: a second change right after the first could bear the same
// time.
const settled = 2 * time.Second

// A file is what was read of one file, and when.
type file struct {
	name      string
	identity  identity
	mode      fs.FileMode
	trusted   bool     // as long as the identity stays, so does the content
	passwords []string // with which it was read

	kind       store.Kind
	open       bool // its keys are protected by no password that is worth the name
	parts      []part
	lists      []store.CRL
	references []candidate // the files that it names
	errs       []error     // of the file as a whole
	err        error       // bundle.ErrNone, store.ErrEmpty or nil

	key     privateKey
	owner   string // of the lists
	judged  uint64 // the version of the authorities with which it was judged
	onLists []verdicts
	run     uint64 // the last run that looked at it
}

// read reads a file, unless what is known of it still holds. An error of reading
// is never remembered: it can go away without a trace on the file itself.
func (s *scan) read(name string, passwords []string) (*file, error) {
	files, known := s.host.Files, s.files[name]
	info, err := files.Stat(name)
	if err != nil {
		return nil, err
	}
	id, ok := identify(info)
	if ok && known != nil && known.trusted && known.identity == id && slices.Equal(known.passwords, passwords) {
		return known, nil
	}
	data, err := files.ReadFile(name, s.config.MaxFileSize)
	if err != nil {
		return nil, err
	}
	content, err := store.Parse(data, store.Options{Passwords: passwords})
	f := &file{
		name: name, identity: id, mode: info.Mode(), passwords: passwords,
		trusted: ok && time.Since(time.Unix(id.done.Unix())) > settled,
		err:     err,
	}
	f.take(name, content, s.config.TrustStoreSize)
	return f, nil
}
