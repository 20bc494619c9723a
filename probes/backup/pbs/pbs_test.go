package pbs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/probetest"
)

// A maker writes a datastore as the manual of Proxmox Backup describes it. It
// proves that the reader and the manual agree, and not more.
type maker struct {
	*testing.T
	root string
}

func (m *maker) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *maker) write(name string, data []byte) {
	m.Helper()
	place := filepath.Join(m.root, name)
	m.must(os.MkdirAll(filepath.Dir(place), 0o755))
	m.must(os.WriteFile(place, data, 0o644))
}

func (m *maker) read(name string) []byte {
	m.Helper()
	data, err := os.ReadFile(filepath.Join(m.root, name))
	m.must(err)
	return data
}

// flip changes a byte; a negative place is counted from the end.
func (m *maker) flip(name string, at int) {
	data := m.read(name)
	data[(at+len(data))%len(data)] ^= 1
	m.write(name, data)
}

func (m *maker) cut(name string, n int) {
	data := m.read(name)
	m.write(name, data[:len(data)-n])
}

func (m *maker) remove(name string) { m.must(os.RemoveAll(filepath.Join(m.root, name))) }

func (m *maker) rename(from, to string) {
	m.must(os.MkdirAll(filepath.Dir(filepath.Join(m.root, to)), 0o755))
	m.must(os.Rename(filepath.Join(m.root, from), filepath.Join(m.root, to)))
}

func blobOf(magic string, header int, data []byte) []byte {
	raw := append([]byte(magic), make([]byte, header-magicSize)...)
	raw = append(raw, data...)
	binary.LittleEndian.PutUint32(raw[magicSize:], crc32.ChecksumIEEE(raw[header:]))
	return raw
}

func packed(data []byte) []byte {
	encoder, _ := zstd.NewWriter(nil)
	defer encoder.Close()
	return blobOf(packedMagic, plainHeader, encoder.EncodeAll(data, nil))
}

func chunkName(data string) string {
	digest := sha256.Sum256([]byte(data))
	name := hex.EncodeToString(digest[:])
	return ".chunks/" + name[:4] + "/" + name
}

type entry struct {
	Name  string `json:"filename"`
	Size  int64  `json:"size"`
	Sum   string `json:"csum"`
	Crypt string `json:"crypt-mode"`
}

// snapshot writes one with an image of fixed chunks, an archive of variable ones
// and a blob.
func (m *maker) snapshot(id, content, state string) {
	m.Helper()
	const chunk = 64
	var records []byte
	image := strings.Repeat(content, 20)
	for at := 0; at < len(image); at += chunk {
		part := image[at:min(len(image), at+chunk)]
		m.write(chunkName(part), packed([]byte(part)))
		digest := sha256.Sum256([]byte(part))
		records = append(records, digest[:]...)
	}
	fixed := index(fixedMagic, records)
	binary.LittleEndian.PutUint64(fixed[sizeAt:], uint64(len(image)))
	binary.LittleEndian.PutUint64(fixed[sizeAt+8:], chunk)
	m.write(id+"/drive.img.fidx", fixed)
	files := []entry{{"drive.img.fidx", int64(len(image)), sum(records), "none"}}

	records = nil
	end := 0
	for _, part := range []string{"an archive of " + content, "and its end"} {
		m.write(chunkName(part), blobOf(plainMagic, plainHeader, []byte(part)))
		end += len(part)
		digest := sha256.Sum256([]byte(part))
		records = append(binary.LittleEndian.AppendUint64(records, uint64(end)), digest[:]...)
	}
	m.write(id+"/root.pxar.didx", index(dynamicMagic, records))
	files = append(files, entry{"root.pxar.didx", int64(end), sum(records), "none"})

	raw := blobOf(plainMagic, plainHeader, []byte("conf "+content))
	m.write(id+"/qemu.conf.blob", raw)
	m.manifest(id, append(files, entry{"qemu.conf.blob", int64(len(raw)), sum(raw), "none"}), state)
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

func index(magic string, records []byte) []byte {
	head := make([]byte, indexHeader)
	copy(head, magic)
	digest := sha256.Sum256(records)
	copy(head[checksumAt:], digest[:])
	return append(head, records...)
}

// upid names a task that began at 2026-01-02T00:00:00Z.
const upid = "UPID:pbs:000002AE:00000538:00000000:69570A80:verificationjob:store-v1:root@pam:"

func (m *maker) manifest(id string, files []entry, state string) {
	m.Helper()
	document := map[string]any{"backup-type": "vm", "backup-id": "100", "backup-time": 1767225600, "files": files}
	if state != "" {
		document["unprotected"] = map[string]any{"verify_state": map[string]string{"state": state, "upid": upid}}
	}
	text, err := json.Marshal(document)
	m.must(err)
	m.write(id+"/"+manifestName, packed(text))
}

const (
	older   = "vm/100/2026-01-01T00:00:00Z"
	newer   = "vm/100/2026-01-02T00:00:00Z"
	archive = "an archive of two"
)

func TestADatastore(t *testing.T) {
	chunk := chunkName(archive)
	for _, c := range []struct {
		name    string
		harm    func(m *maker)
		options job.Options
		want    string // by structure and by reading
	}{
		{name: "good", want: "good, good"},
		{name: "in a namespace", harm: func(m *maker) { m.rename("vm", "ns/a/ns/b/vm") }, options: job.Options{Dataset: "a/b"}, want: "good, good"},
		{name: "a missing chunk", harm: func(m *maker) { m.remove(chunk) }, want: "bad incomplete, bad incomplete"},
		{name: "a chunk that the server has put aside", harm: func(m *maker) { m.rename(chunk, chunk+".0.bad") }, want: "bad incomplete, bad incomplete"},
		{name: "an empty chunk", harm: func(m *maker) { m.write(chunk, nil) }, want: "bad truncated, bad truncated"},
		{name: "half of a chunk", harm: func(m *maker) { m.cut(chunk, 5) }, want: "good, bad damaged"},
		{name: "a changed byte in a chunk", harm: func(m *maker) { m.flip(chunk, -3) }, want: "good, bad damaged"},
		{name: "a chunk with other content and a checksum that fits", harm: func(m *maker) {
			m.write(chunk, blobOf(plainMagic, plainHeader, []byte("an archive of twx")))
		}, want: "good, bad damaged"},
		{name: "a chunk that is no blob", harm: func(m *maker) { m.flip(chunk, 0) }, want: "good, bad mismatch"},
		{name: "a changed byte in the records of an index", harm: func(m *maker) { m.flip(newer+"/drive.img.fidx", -5) }, want: "bad damaged, bad damaged"},
		{name: "an index that lost its last record", harm: func(m *maker) { m.cut(newer+"/root.pxar.didx", 40) }, want: "bad damaged, bad damaged"},
		{name: "half of an index", harm: func(m *maker) { m.cut(newer+"/root.pxar.didx", 300) }, want: "bad truncated, bad truncated"},
		{name: "an index that is missing", harm: func(m *maker) { m.remove(newer + "/root.pxar.didx") }, want: "bad incomplete, bad incomplete"},
		{name: "the index of another snapshot", harm: func(m *maker) { m.write(newer+"/root.pxar.didx", m.read(older+"/root.pxar.didx")) }, want: "bad damaged, bad damaged"},
		{name: "a changed byte in a blob", harm: func(m *maker) { m.flip(newer+"/qemu.conf.blob", -1) }, want: "bad damaged, bad damaged"},
		{name: "a blob of another snapshot", harm: func(m *maker) { m.write(newer+"/qemu.conf.blob", m.read(older+"/qemu.conf.blob")) }, want: "bad damaged, bad damaged"},
		{name: "a blob that was cut off", harm: func(m *maker) { m.cut(newer+"/qemu.conf.blob", 1) }, want: "bad truncated, bad truncated"},
		{name: "a changed byte in the manifest", harm: func(m *maker) { m.flip(newer+"/"+manifestName, -1) }, want: "bad damaged, bad damaged"},
		{name: "a manifest that names no file", harm: func(m *maker) { m.manifest(newer, []entry{}, "") }, want: "bad empty, bad empty"},
		{name: "a manifest that leads outside", harm: func(m *maker) {
			m.manifest(newer, []entry{{"../../x.blob", 1, "", "none"}}, "")
		}, want: "bad damaged, bad damaged"},
		{name: "a snapshot that is being made", harm: func(m *maker) { m.write("vm/100/2026-01-03T00:00:00Z/root.pxar.tmp_didx", nil) }, want: "good, good"},
		{name: "a verification by the server that failed", harm: func(m *maker) { m.snapshot(newer, "two", "failed") }, want: "bad damaged, bad damaged"},
		{name: "an encrypted chunk", harm: func(m *maker) { m.write(chunk, blobOf(encryptedMagic, cryptHeader, []byte("secret"))) }, want: "good, good"},
		{name: "an encrypted chunk with a changed byte", harm: func(m *maker) {
			m.write(chunk, blobOf(encryptedMagic, cryptHeader, []byte("secret")))
			m.flip(chunk, -1)
		}, want: "good, bad damaged"},
		{name: "another group", options: job.Options{Snapshots: "ct/*"}, want: "nothing, nothing"},
		{name: "no datastore", harm: func(m *maker) { m.remove(".chunks") }, want: "unknown not_found, unknown not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			world := &probetest.World{Root: t.TempDir()}
			m := &maker{t, filepath.Join(world.Root, "store")}
			m.snapshot(older, "one", "ok")
			m.snapshot(newer, "two", "ok")
			if c.harm != nil {
				c.harm(m)
			}
			c.options.Repository = "/store"
			var got []string
			for _, depth := range []job.Depth{job.Structure, job.Read} {
				answer, _, out := backuptest.Check(t.Context(), Kind().Open(world.Host(), c.options), job.Task{Depth: depth})
				got = append(got, answer)
				if out.Err != nil {
					t.Log(out.Err)
				}
			}
			if got := strings.Join(got, ", "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestSeveralGroupsAreAsOldAsTheOldest(t *testing.T) {
	world := &probetest.World{Root: t.TempDir()}
	m := &maker{t, filepath.Join(world.Root, "store")}
	for _, id := range []string{older, newer, "ct/7/2025-12-01T00:00:00Z", "host/web/2026-01-02T00:00:00Z"} {
		m.snapshot(id, id, "ok")
	}
	sight, err := Kind().Open(world.Host(), job.Options{Repository: "/store"}).Look(t.Context())
	m.must(err)
	if len(sight.Points) != 1 || !sight.Points[0].At.Equal(time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)) || len(sight.Points[0].Units) != 3 || len(sight.Units) != 4 {
		t.Errorf("%+v", sight.Points)
	}
	if len(sight.Evidence) != 1 || !sight.Evidence[0].At.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", sight.Evidence)
	}
}

// What snapshots share is read once.
func TestSharedChunksAreReadOnce(t *testing.T) {
	world := &probetest.World{Root: t.TempDir()}
	m := &maker{t, filepath.Join(world.Root, "store")}
	m.snapshot(older, "same", "")
	c := Kind().Open(world.Host(), job.Options{Repository: "/store"})
	_, _, one := backuptest.Check(t.Context(), c, job.Task{Depth: job.Read})
	m.snapshot(newer, "same", "")
	_, _, two := backuptest.Check(t.Context(), c, job.Task{Depth: job.Read})
	if one.Bytes == 0 || one.Bytes != two.Bytes || len(two.Units) != 2 {
		t.Errorf("%d and %d bytes of %d units", one.Bytes, two.Bytes, len(two.Units))
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		o    job.Options
		want string
	}{
		{job.Options{Repository: "/mnt/store", Dataset: "a/b", Snapshots: "vm/*"}, ""},
		{job.Options{Repository: "store"}, `repository: "store" is not an absolute path; the name of a datastore needs an endpoint`},
		{job.Options{Repository: "store", Endpoint: "https://pbs:8007"}, "password_file: is missing: the file with the token"},
		{job.Options{Repository: "store", Endpoint: "http://pbs:8007", PasswordFile: "/t"}, `endpoint: "http://pbs:8007" is not of the form https://host:8007`},
		{job.Options{Repository: "/mnt/store", Dataset: "../x"}, `dataset: "../x" is no name of a namespace`},
		{job.Options{Repository: "store", Endpoint: "https://pbs:8007", PasswordFile: "/t", Fingerprint: "AA"}, `fingerprint: "AA" is not 32 bytes in hexadecimal with colons`},
	} {
		got := ""
		if err := Kind().Validate(c.o); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.o, got, c.want)
		}
	}
}

// Whatever a file of a datastore holds, reading it neither panics nor calls what
// does not fit its checksum good.
func FuzzFormats(f *testing.F) {
	f.Add(packed([]byte(`{"files":[]}`)))
	f.Add(index(fixedMagic, make([]byte, 64)))
	f.Add(index(dynamicMagic, make([]byte, 80)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		content, _, err := unblob(raw)
		if err == nil && content != nil && crc32.ChecksumIEEE(raw[plainHeader:]) != binary.LittleEndian.Uint32(raw[magicSize:]) {
			t.Error("a blob with a wrong checksum is good")
		}
		_, _ = parseManifest(raw)
		var total int64
		size, _, err := parseIndex(raw, func(p piece) error { total += p.size; return nil })
		if err == nil && total != size {
			t.Errorf("chunks of %d bytes make %d", total, size)
		}
	})
}
