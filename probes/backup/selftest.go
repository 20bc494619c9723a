package backup

import (
	"context"
	"embed"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/internal/scratch"
)

// samples are small backups, each made by the program of its format.
//
//go:embed samples
var samples embed.FS

// A sample is one of them. From a good one the bad ones are made: it is cut, and
// where the format has checksums, a byte is changed.
type sample struct {
	format, file string
	checksums    bool
}

func sampleList() []sample {
	return []sample{
		{"gzip", "sample.gz", true},
		{"bzip2", "sample.bz2", true},
		{"xz", "sample.xz", true},
		{"zstd", "sample.zst", true},
		{"lz4", "sample.lz4", true},
		{"lzip", "sample.lz", true},
		{"tar", "sample.tar", false},
		{"zip", "sample.zip", true},
		{"7z", "sample.7z", true},
		{"pg_dump", "sample.pg.sql", false},
		{"pg_dump_custom", "sample.dump", false}, // its table of contents has none
		{"mysql_dump", "sample.mysql.sql", false},
		{"sqlite", "sample.db", false},
		{"sqlite_dump", "sample.sqlite.sql", false},
		{"redis", "sample.rdb", true},
	}
}

// selftestEvery is how often the samples are judged.
const selftestEvery = 24 * time.Hour

// selftest judges the samples in the way in which backups are judged, with the
// programs of this host: a checker that always says good is worse than none. A
// format that cannot be judged here has no result.
func (p *probe) selftest(ctx context.Context) {
	p.mu.Lock()
	now := p.now()
	due := p.tested.IsZero() || now.Sub(p.tested) >= selftestEvery || now.Before(p.tested)
	p.mu.Unlock()
	if !due {
		return
	}
	dir, err := scratch.Make(p.scratch())
	if err != nil {
		return // a test restore will say so
	}
	defer func() { _ = scratch.Remove(dir) }()
	passed := map[string]bool{}
	for _, s := range sampleList() {
		if right, judged := p.testSample(ctx, dir, s); judged {
			passed[s.format] = right
		}
	}
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed, p.tested = passed, now
}

// testSample judges one sample and what is made of it.
func (p *probe) testSample(ctx context.Context, dir string, s sample) (right, judged bool) {
	good, err := samples.ReadFile("samples/" + s.file)
	if err != nil {
		return false, true
	}
	cases := map[job.Verdict][][]byte{job.Good: {good}, job.Bad: {good[:len(good)*3/10]}}
	if s.checksums {
		changed := slices.Clone(good)
		changed[len(changed)/2] ^= 0xff
		cases[job.Bad] = append(cases[job.Bad], changed)
	}
	right = true
	for want, list := range cases {
		for _, data := range list {
			switch got := p.testJudge(ctx, filepath.Join(dir, s.file), data); got {
			case job.Unknown:
				return false, false
			default:
				right = right && got == want
			}
		}
	}
	return right, true
}

func (p *probe) testJudge(ctx context.Context, path string, data []byte) job.Verdict {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return job.Unknown
	}
	host := p.host
	host.Files = rootfs.New(rootfs.Paths{}) // the scratch directory is the agent's own
	out := files.Kind().Open(host, job.Options{Paths: []string{path}}).Check(ctx, job.Task{
		Depth: job.Read, Units: []job.Unit{{ID: path, Bytes: int64(len(data))}},
	})
	return job.Judge(out.Err).Verdict
}
