package content

import (
	"bytes"
	"testing"

	"hygiene_exporter/probes/backup/job"
)

// FuzzCheck: whatever a backup holds, a check ends without a panic and with an
// answer, good or a flaw; it demands what it is told to; and it counts no more
// bytes of a stream than there are.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"", "\x00", "--\n-- PostgreSQL database dump\n--\nCOPY t FROM stdin;\n1\n\\.\n-- PostgreSQL database dump complete\n",
		"-- MariaDB dump 10\nINSERT INTO t\n-- Dump completed on 2026\n", "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n",
		"REDIS0009\xff\x00\x00\x00\x00\x00\x00\x00\x00", "SQLite format 3\x00", "\x6d\xe2\x99\x81\x05\x00\x00\x00\x00\xff\xff\xff\xff",
		"PGDMP", "PK\x05\x06", "7z\xbc\xaf\x27\x1c",
	} {
		f.Add([]byte(seed), byte(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, n byte) {
		want := Types()[int(n)%len(Types())]
		info, err := Check(bytes.NewReader(data), want)
		if job.Judge(err).Verdict == job.Unknown && want == Any && info.Type != MySQLDump {
			t.Errorf("a stream in memory could not be judged: %v", err)
		}
		asked := want == Any || info.Type == want || want == PgDump && info.Type == Tar
		if err == nil && !asked {
			t.Errorf("%s was demanded, and %s was found good", want, info.Type)
		}
		if info.Type != Tar && info.Size > int64(len(data)) {
			t.Errorf("%d bytes were counted of %d", info.Size, len(data))
		}
	})
}
